import { readFile, rm } from 'node:fs/promises'
import * as z from 'zod'
import { isAlive, type ProcessIdentity, writeDurably } from '../state/index.ts'
import { findByEnvironment } from './process-group.ts'

/** In the program's environment: names one start of it, so that it is found again even when its pid never reached the disk. */
export const RUN_VARIABLE = 'FLEET_RUN'

const schema = z.object({
  /** A pid and a start time mean something until the next boot alone. */
  boot: z.string(),
  run: z.string(),
  /** The directory that it was started in. */
  cwd: z.string(),
  /** Null between the decision to start it and the knowledge of its pid. */
  process: z.object({ pid: z.number().int().positive(), startTime: z.string() }).nullable(),
})
type Entry = z.infer<typeof schema>

/** Which process is the program, on disk: what lets a daemon that was killed find it again, and never take another for it. */
export interface ProgramRecord {
  /** Before it is started. */
  begin(run: string, cwd: string): Promise<void>
  /** Once it is. */
  complete(run: string, cwd: string, process: ProcessIdentity): Promise<void>
  clear(): Promise<void>
  /** The program that an earlier daemon started and that still runs. */
  find(): Promise<{ readonly process: ProcessIdentity; readonly cwd: string } | undefined>
}

export function createProgramRecord(path: string): ProgramRecord {
  const write = async (entry: Omit<Entry, 'boot'>): Promise<void> =>
    writeDurably(path, `${JSON.stringify({ boot: await bootId(), ...entry })}\n`)

  return {
    begin: (run, cwd) => write({ run, cwd, process: null }),
    complete: (run, cwd, process) => write({ run, cwd, process }),
    clear: () => rm(path, { force: true }),
    async find() {
      const entry = await read(path)
      if (entry === undefined || entry.boot !== (await bootId())) return undefined
      const { cwd } = entry
      if (entry.process !== null) return (await isAlive(entry.process)) ? { process: entry.process, cwd } : undefined
      const process = await findByEnvironment(RUN_VARIABLE, entry.run)
      return process === undefined ? undefined : { process, cwd }
    },
  }
}

/** A record that is missing or damaged names no process, and so none is adopted. */
async function read(path: string): Promise<Entry | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** random(4): new at each boot. Empty where the system has none. */
const bootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
