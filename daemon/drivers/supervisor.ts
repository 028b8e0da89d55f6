import { spawn } from 'node:child_process'
import { closeSync, openSync, renameSync, statSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Random } from '../../protocol/index.ts'
import { identify, isAlive, type ProcessIdentity, writeDurably } from '../state/index.ts'
import { failuresAfter, restartDelay } from './backoff.ts'

const LOG_LIMIT = 16 * 1024 * 1024
const ADOPTED_POLL = 250

export interface Program {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Supervisor {
  /** Takes over the program that an earlier life of the daemon left running from this directory, or starts it. */
  adoptOrStart(program: Program): Promise<void>
  start(program: Program): Promise<void>
  /** SIGTERM to its process group, after the grace SIGKILL. Resolves when it is gone. */
  stop(grace: number): Promise<void>
  /** Ends the watch and leaves the program be. */
  release(): void
  state(): { readonly running: boolean; readonly reason: string; readonly directory: string | undefined }
}

/**
 * Keeps one program running, and starts it again when it ends. The program has a process group of its own and writes to a
 * file, so that it outlives this daemon; which process it is stands on disk.
 */
export function createSupervisor(init: {
  directory: string
  random: Random
  log: Logger
  onChange: () => void
}): Supervisor {
  const { directory, log } = init
  const pidFile = join(directory, 'program.json')
  const logFile = join(directory, 'program.log')
  let wanted: Program | undefined
  let running: ProcessIdentity | undefined
  let reason = 'it has not been started'
  let failures = 0
  let startedAt = 0
  let timer: NodeJS.Timeout | undefined
  // Every start and stop is a new life; what an earlier one has under way is ignored.
  let life = 0

  const change = (next: ProcessIdentity | undefined, why: string): void => {
    running = next
    reason = why
    init.onChange()
  }

  const ended = (mine: number, why: string): void => {
    if (mine !== life || wanted === undefined) return
    failures = failuresAfter(failures, performance.now() - startedAt)
    const delay = restartDelay(failures, init.random)
    change(undefined, `the program ended (${why}); it is started again in ${(delay / 1000).toFixed(1)} s`)
    log.warn({ why, delay }, 'the program ended; it will be started again')
    timer = setTimeout(() => {
      if (mine === life && wanted !== undefined) launch(wanted).catch(error => ended(life, (error as Error).message))
    }, delay)
  }

  const launch = async (program: Program): Promise<void> => {
    life += 1
    const mine = life
    startedAt = performance.now()
    rotate(logFile)
    const output = openSync(logFile, 'a', 0o640)
    const [file, ...args] = program.command
    const child = spawn(file!, args, {
      cwd: program.cwd,
      env: { ...process.env, ...program.env },
      stdio: ['ignore', output, output],
      detached: true,
    })
    closeSync(output)
    child.unref()
    child.once('exit', (code, signal) => ended(mine, signal ?? `exit ${code}`))
    const failed = new Promise<string | undefined>(resolve => {
      child.once('error', error => resolve(error.message))
      child.once('spawn', () => resolve(undefined))
    })
    const problem = await failed
    if (problem !== undefined || child.pid === undefined) return ended(mine, problem ?? 'it could not be started')
    const identity = await identify(child.pid)
    // On disk before anything counts on it: a daemon killed from here on finds the program again.
    if (identity !== undefined) await writeDurably(pidFile, JSON.stringify({ ...identity, cwd: program.cwd }))
    if (mine === life && child.exitCode === null)
      change(identity ?? { pid: child.pid, startTime: '' }, 'the program is running')
  }

  /** A process that is not our child sends no exit event; it is looked at. */
  const watch = (identity: ProcessIdentity, mine: number): void => {
    timer = setTimeout(async () => {
      if (mine !== life) return
      if (await isAlive(identity)) watch(identity, mine)
      else ended(mine, 'it is gone')
    }, ADOPTED_POLL)
  }

  const left = async (): Promise<(ProcessIdentity & { cwd: string }) | undefined> => {
    try {
      const seen = JSON.parse(await readFile(pidFile, 'utf8')) as ProcessIdentity & { cwd: string }
      return (await isAlive(seen)) ? seen : undefined
    } catch {
      return undefined
    }
  }

  const end = async (identity: ProcessIdentity, grace: number): Promise<void> => {
    signalGroup(identity.pid, 'SIGTERM')
    const killAt = performance.now() + grace
    let killed = false
    while (await isAlive(identity)) {
      if (!killed && performance.now() >= killAt) {
        killed = true
        log.warn({ pid: identity.pid, grace }, 'the program did not end within its grace and is killed')
        signalGroup(identity.pid, 'SIGKILL')
      }
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    // Whatever it left behind in its group ends with it.
    signalGroup(identity.pid, 'SIGKILL')
  }

  const supervisor: Supervisor = {
    async adoptOrStart(program) {
      const found = await left()
      if (found === undefined) return supervisor.start(program)
      if (found.cwd !== program.cwd) {
        await end(found, 10_000)
        return supervisor.start(program)
      }
      wanted = program
      life += 1
      startedAt = performance.now()
      log.info({ pid: found.pid }, 'the program is still running from before')
      change(found, 'the program is running')
      watch(found, life)
    },
    async start(program) {
      wanted = program
      failures = 0
      clearTimeout(timer)
      await launch(program)
    },
    async stop(grace) {
      const identity = running ?? (await left())
      wanted = undefined
      life += 1
      clearTimeout(timer)
      change(undefined, 'it was stopped')
      if (identity !== undefined) await end(identity, grace)
      await rm(pidFile, { force: true })
    },
    release() {
      wanted = undefined
      life += 1
      clearTimeout(timer)
    },
    state: () => ({ running: running !== undefined, reason, directory: wanted?.cwd }),
  }
  return supervisor
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone.
  }
}

/** One file of the past is kept, so that a talkative program cannot fill the disk between two starts for ever. */
function rotate(path: string): void {
  try {
    if (statSync(path).size > LOG_LIMIT) renameSync(path, `${path}.1`)
  } catch {
    // There is none yet.
  }
}
