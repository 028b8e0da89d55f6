import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { millis, type Random } from '../../protocol/index.ts'
import { identify, isAlive, type ProcessIdentity } from '../state/index.ts'
import { pause } from './deadline.ts'
import type { ProgramState } from './driver.ts'
import { environmentWith } from './environment.ts'
import { isGroupAlive, signalGroup } from './process-group.ts'
import { createProgramLog } from './program-log.ts'
import { createProgramRecord, RUN_VARIABLE } from './program-record.ts'
import { createSupervisor, type SupervisorEffect, type SupervisorInput } from './supervisor.ts'

/** How often a process that is not our child, and so sends no exit event, is looked at. Milliseconds. */
const ADOPTED_POLL = 250
/** Looks at whether a process group is gone: soon at first, as most programs end at once. Milliseconds. */
const GONE_POLL = { first: 5, last: 100 }

export interface ProgramSpec {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** One program of this host and its watch. */
export interface Program {
  /** Takes over the program that an earlier daemon left running in the directory, or starts it; one from another directory is ended first. */
  adoptOrStart(spec: ProgramSpec, grace: number): Promise<void>
  /** Ends what an earlier daemon left running, where nothing is to run. */
  endLeftover(grace: number): Promise<void>
  /** Resolves when it runs, or its first try has failed and it will be tried again. */
  start(spec: ProgramSpec): Promise<void>
  /** SIGTERM to its process group, after `grace` milliseconds SIGKILL. Resolves when nothing of the group is left. */
  stop(grace: number): Promise<void>
  /** Ends the watch and leaves the program be. */
  release(): Promise<void>
  /** The end of what it and those before it have written, at most so many bytes. */
  output(bytes: number): Promise<string>
  /** `run` tells one start of the program from the next. */
  state(): ProgramState & { readonly run: number; readonly cwd: string | undefined }
}

interface Live {
  readonly run: number
  readonly process: ProcessIdentity
}

/**
 * Carries out what the supervisor machine decides. The program leads a process group of its own and writes to a file, so that
 * it outlives this daemon; which process it is stands on disk.
 */
export function createProgram(init: {
  readonly directory: string
  readonly random: Random
  readonly now: () => number
  readonly log: Logger
  readonly onChange: () => void
}): Program {
  const { directory, log, now } = init
  const machine = createSupervisor(init.random)
  const record = createProgramRecord(join(directory, 'program.json'))
  const output = createProgramLog(join(directory, 'app.log'), log)
  const life = new AbortController()
  const tasks = new Set<Promise<void>>()
  const waiting = new Set<() => void>()
  let spec: ProgramSpec | undefined
  let live: Live | undefined
  let timer: NodeJS.Timeout | undefined

  const input = (next: SupervisorInput): void => {
    if (life.signal.aborted) return
    for (const effect of machine.step(millis(now()), next)) perform(effect)
  }

  /** Owns a promise until it has ended, so that `release` can wait for it. */
  const own = (work: Promise<void>): void => {
    const task = work
      .catch(error => log.error({ err: error }, 'a step of the supervisor failed in a way that it should not'))
      .finally(() => tasks.delete(task))
    tasks.add(task)
  }

  const perform = (effect: SupervisorEffect): void => {
    switch (effect.type) {
      case 'spawn':
        return own(launch(effect.run, spec!))
      case 'terminate':
        return own(terminate(effect.run))
      case 'kill':
        if (live?.run === effect.run) own(signalGroup(live.process, 'SIGKILL'))
        return
      case 'wakeAt':
        clearTimeout(timer)
        timer = setTimeout(() => input({ type: 'wake' }), Math.max(0, effect.at - now()))
        return
      case 'changed':
        return changed()
      default:
        return effect satisfies never
    }
  }

  const changed = (): void => {
    const { state, reason } = machine.view()
    if (state === 'backoff') log.warn(reason)
    else log.info({ pid: live?.process.pid }, reason)
    init.onChange()
    for (const look of [...waiting]) look()
  }

  const settled = (done: () => boolean): Promise<void> =>
    new Promise(resolve => {
      const look = (): void => {
        if (!done()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })

  const launch = async (run: number, { command, env, cwd }: ProgramSpec): Promise<void> => {
    const name = randomUUID()
    // A full disk must not keep the program down. Without a record a daemon that is killed could not adopt it: said, and risked.
    const recorded = (work: Promise<void>): Promise<void> =>
      work.catch(error => log.error({ err: error }, 'which process the program is could not be written down'))
    await recorded(record.begin(name, cwd))
    const [file, ...args] = command
    let child: ChildProcess
    try {
      const descriptor = await output.open()
      try {
        child = spawn(file!, args, {
          cwd,
          env: environmentWith({ ...env, [RUN_VARIABLE]: name }),
          stdio: ['ignore', descriptor, descriptor],
          detached: true,
        })
      } finally {
        closeSync(descriptor)
      }
    } catch (error) {
      return input({ type: 'ended', run, why: (error as Error).message })
    }
    child.unref()
    const ended = new Promise<string>(resolve => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`))
      child.once('error', error => resolve(error.message))
    })
    if (child.pid === undefined) return input({ type: 'ended', run, why: await ended })
    // One that has ended by now has no start time to read; its group is known by its number alone.
    const process = (await identify(child.pid)) ?? { pid: child.pid, startTime: '' }
    live = { run, process }
    if (process.startTime !== '') await recorded(record.complete(name, cwd, process))
    input({ type: 'spawned', run })
    void ended.then(why => input({ type: 'ended', run, why }))
  }

  const terminate = async (run: number): Promise<void> => {
    const target = live?.process
    if (target !== undefined) {
      await signalGroup(target, 'SIGTERM')
      await untilGone(target)
    }
    input({ type: 'gone', run })
  }

  const untilGone = async (target: ProcessIdentity): Promise<void> => {
    let wait = GONE_POLL.first
    while (!life.signal.aborted && (await isGroupAlive(target))) {
      await pause(wait, life.signal)
      wait = Math.min(GONE_POLL.last, wait * 2)
    }
  }

  /** Watches a process that is not our child. */
  const watch = async ({ run, process }: Live): Promise<void> => {
    while (!life.signal.aborted && live?.run === run) {
      if (!(await isAlive(process))) return input({ type: 'ended', run, why: 'it is gone' })
      await pause(ADOPTED_POLL, life.signal)
    }
  }

  /** Makes a process from before this daemon the present run. */
  const adopt = (process: ProcessIdentity): void => {
    live = { run: machine.view().run + 1, process }
    input({ type: 'adopt' })
    own(watch(live))
  }

  const program: Program = {
    async adoptOrStart(next, grace) {
      const found = await record.find()
      if (found === undefined) return program.start(next)
      if (found.cwd !== next.cwd) {
        await program.endLeftover(grace)
        return program.start(next)
      }
      spec = next
      output.watch()
      log.info({ pid: found.process.pid }, 'the program still runs from before this daemon')
      adopt(found.process)
    },
    async endLeftover(grace) {
      const found = await record.find()
      if (found === undefined) return
      adopt(found.process)
      await program.stop(grace)
    },
    async start(next) {
      spec = next
      output.watch()
      input({ type: 'start' })
      await settled(() => life.signal.aborted || !['starting', 'stopping'].includes(machine.view().state))
    },
    async stop(grace) {
      input({ type: 'stop', grace })
      await settled(() => life.signal.aborted || machine.view().state === 'stopped')
      output.unwatch()
      clearTimeout(timer)
      live = undefined
      await record.clear()
    },
    async release() {
      // A start that is under way comes to its end first, so that the next daemon finds its pid on disk.
      await settled(() => machine.view().state !== 'starting')
      life.abort()
      clearTimeout(timer)
      output.unwatch()
      await Promise.all(tasks)
      for (const look of [...waiting]) look()
    },
    output: bytes => output.tail(bytes),

    state: () => {
      const { state, reason, run } = machine.view()
      const pid = state === 'running' || state === 'stopping' ? live?.process.pid : undefined
      return { state, reason, run, pid, cwd: spec?.cwd }
    },
  }
  return program
}
