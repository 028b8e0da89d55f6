import { spawn } from 'node:child_process'
import type { HookAnswer } from './driver.ts'
import { environmentWith } from './environment.ts'

const BUSY = 75 // EX_TEMPFAIL, sysexits.h
/** Characters of output that are kept: the last ones. */
const KEPT_OUTPUT = 4 * 1024
/** How long output is still waited for once the command has ended; something that left its group may hold it open. Milliseconds. */
const LAST_OUTPUT = 500

export interface HookRun {
  /** A shell command line. */
  readonly command: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Milliseconds until it and all that it started is killed. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/** Runs a command line and says how it ended. What it leaves running in its process group ends with it. Never throws. */
export function runHook({
  command,
  cwd,
  env,
  timeout,
  signal,
}: HookRun): Promise<HookAnswer & { readonly output: string }> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve({ answer: 'failed', reason: 'it was cancelled', output: '' })
    let output = ''
    let killed: string | undefined
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      env: environmentWith(env),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const end = (why?: string): void => {
      killed ??= why
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // Nothing of it is left.
      }
    }
    const cancel = (): void => end('it was cancelled')
    const timer = setTimeout(() => end(`it did not end within ${timeout / 1000} s`), timeout)
    let lastOutput: NodeJS.Timeout | undefined
    signal.addEventListener('abort', cancel, { once: true })
    const streams = [child.stdout, child.stderr]
    for (const stream of streams) {
      stream.setEncoding('utf8')
      stream.on('data', (chunk: string) => {
        output = (output + chunk).slice(-KEPT_OUTPUT)
      })
    }
    const finish = (answer: HookAnswer['answer'], why: string): void => {
      clearTimeout(timer)
      clearTimeout(lastOutput)
      signal.removeEventListener('abort', cancel)
      const lastLine = output.trimEnd().split('\n').at(-1) ?? ''
      resolve({ answer, reason: lastLine === '' ? why : `${why}: ${lastLine}`, output })
    }
    child.once('error', error => finish('failed', `it could not be run in ${cwd}: ${error.message}`))
    child.once('exit', () => {
      clearTimeout(timer)
      end()
      lastOutput = setTimeout(() => {
        for (const stream of streams) stream.destroy()
      }, LAST_OUTPUT)
    })
    child.once('close', (code, by) => {
      if (killed !== undefined) finish('failed', killed)
      else if (code === 0) finish('ok', 'exit 0')
      else if (code === BUSY) finish('busy', `exit ${BUSY}`)
      else finish('failed', code === null ? `ended by ${by}` : `exit ${code}`)
    })
  })
}
