import { openSync } from 'node:fs'
import { copyFile, open, rename, stat, truncate } from 'node:fs/promises'
import type { Logger } from 'pino'

/** The program's output is cut at this size, in bytes; one such piece of the past is kept. */
export const LOG_LIMIT = 16 * 1024 * 1024
const LOOK_EVERY = 30_000

/** The file that a program writes its output to. A file and not a pipe: a pipe to a dead daemon would end the program at its next line. */
export interface ProgramLog {
  /** A descriptor to append with, for the program to inherit; the caller closes it. */
  open(): Promise<number>
  /** Looks at the size every half minute until `unwatch`: a talkative program that runs for months must not fill the disk. */
  watch(): void
  unwatch(): void
  /** Its end, at most so many bytes; empty where there is none. */
  tail(bytes: number): Promise<string>
  /** One look, as `watch` does it: past the limit, what there is moves to `PATH.1` while the program goes on writing. */
  cut(): Promise<void>
}

export function createProgramLog(path: string, log: Logger): ProgramLog {
  let timer: NodeJS.Timeout | undefined
  const size = async (): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0

  const cut = async (): Promise<void> => {
    if ((await size()) <= LOG_LIMIT) return
    // The program holds the file open for appending: cut to nothing, its next line is the first.
    await copyFile(path, `${path}.1`)
    await truncate(path, 0)
  }

  return {
    async open() {
      // Nobody writes now, so nothing is lost between a copy and a cut.
      if ((await size()) > LOG_LIMIT) await rename(path, `${path}.1`)
      return openSync(path, 'a', 0o640)
    },
    watch() {
      clearInterval(timer)
      timer = setInterval(() => {
        cut().catch(error => log.warn({ err: error, path }, "the program's log could not be cut"))
      }, LOOK_EVERY).unref()
    },
    async tail(bytes) {
      const file = await open(path, 'r').catch(() => undefined)
      if (file === undefined) return ''
      try {
        const from = Math.max(0, (await file.stat()).size - bytes)
        const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, from)
        return buffer.toString('utf8', 0, bytesRead)
      } finally {
        await file.close()
      }
    },
    unwatch: () => clearInterval(timer),
    cut,
  }
}
