import { type Millis, millis, type Random } from '../../protocol/index.ts'
import { failuresAfter, restartDelay } from './backoff.ts'

/** `run` counts the starts of the program: what is said of an earlier run than the present one is ignored. */
export type SupervisorInput =
  | { readonly type: 'start' }
  /** A program from before this daemon was found running. Only before anything was started. */
  | { readonly type: 'adopt' }
  /** `grace`: milliseconds between SIGTERM and SIGKILL. */
  | { readonly type: 'stop'; readonly grace: number }
  | { readonly type: 'spawned'; readonly run: number }
  /** It could not be started, or its first process ended. */
  | { readonly type: 'ended'; readonly run: number; readonly why: string }
  /** Answer to `terminate`: nothing of its process group is left. */
  | { readonly type: 'gone'; readonly run: number }
  | { readonly type: 'wake' }

export type SupervisorEffect =
  | { readonly type: 'spawn'; readonly run: number }
  /** SIGTERM to the process group; say `gone` when nothing of it is left. */
  | { readonly type: 'terminate'; readonly run: number }
  /** SIGKILL to whatever is left of the process group. */
  | { readonly type: 'kill'; readonly run: number }
  | { readonly type: 'wakeAt'; readonly at: Millis }
  /** `view` says something else than before. */
  | { readonly type: 'changed' }

type State =
  | { readonly at: 'stopped'; readonly reason: string }
  | { readonly at: 'starting'; readonly failures: number }
  | { readonly at: 'running'; readonly failures: number; readonly since: Millis }
  | { readonly at: 'backoff'; readonly failures: number; readonly until: Millis; readonly reason: string }
  /** `killAt` is null while the start that is to be undone is still under way, and once SIGKILL was sent. */
  | {
      readonly at: 'stopping'
      readonly stage: 'spawning' | 'terminating' | 'killing'
      readonly grace: number
      readonly killAt: Millis | null
      readonly again: boolean
    }

export interface Supervisor {
  step(now: Millis, input: SupervisorInput): SupervisorEffect[]
  view(): { readonly state: State['at']; readonly reason: string; readonly run: number }
}

/**
 * Decides when one program is started, ended and started again. Promises: no run begins before the one before it has ended;
 * after `stop` none begins until `start`; a program that ends by itself is started again after the waits of backoff.ts.
 * `now` is a clock that never goes back.
 */
export function createSupervisor(random: Random): Supervisor {
  let state: State = { at: 'stopped', reason: 'the program has not been started' }
  let run = 0
  let effects: SupervisorEffect[] = []

  const enter = (next: State): void => {
    state = next
    effects.push({ type: 'changed' })
  }

  const spawn = (failures: number): void => {
    run += 1
    enter({ at: 'starting', failures })
    effects.push({ type: 'spawn', run })
  }

  const retire = (again: boolean): void => {
    if (again) spawn(0)
    else enter({ at: 'stopped', reason: 'the program was stopped' })
  }

  const terminate = (now: Millis, grace: number, again: boolean): void => {
    const killAt = millis(now + grace)
    enter({ at: 'stopping', stage: 'terminating', grace, killAt, again })
    effects.push({ type: 'terminate', run }, { type: 'wakeAt', at: killAt })
  }

  const start = (): void => {
    switch (state.at) {
      case 'stopped':
      case 'backoff':
        return spawn(0)
      case 'starting':
      case 'running':
        return
      case 'stopping':
        state = { ...state, again: true }
        return
      default:
        return state satisfies never
    }
  }

  const stop = (now: Millis, grace: number): void => {
    switch (state.at) {
      case 'stopped':
        return
      case 'backoff':
        return retire(false)
      case 'starting':
        return enter({ at: 'stopping', stage: 'spawning', grace, killAt: null, again: false })
      case 'running':
        return terminate(now, grace, false)
      case 'stopping': {
        // Told to hurry, it does; more patience than was given first is not given later.
        const killAt = state.killAt === null ? null : millis(Math.min(state.killAt, now + grace))
        state = { ...state, grace: Math.min(state.grace, grace), killAt, again: false }
        if (killAt !== null) effects.push({ type: 'wakeAt', at: killAt })
        return
      }
      default:
        return state satisfies never
    }
  }

  const spawned = (now: Millis): void => {
    if (state.at === 'starting') enter({ at: 'running', failures: state.failures, since: now })
    else if (state.at === 'stopping' && state.stage === 'spawning') terminate(now, state.grace, state.again)
  }

  const ended = (now: Millis, why: string): void => {
    switch (state.at) {
      case 'starting':
      case 'running': {
        const ranFor = state.at === 'running' ? now - state.since : 0
        const failures = failuresAfter(state.failures, ranFor)
        const delay = restartDelay(failures, random)
        const until = millis(now + delay)
        // What its first process left behind may hold the port that the next run needs.
        effects.push({ type: 'kill', run }, { type: 'wakeAt', at: until })
        const reason = `the program ended (${why}); it is started again in ${(delay / 1000).toFixed(1)} s`
        return enter({ at: 'backoff', failures, until, reason })
      }
      case 'stopping':
        if (state.stage === 'spawning') {
          effects.push({ type: 'kill', run })
          retire(state.again)
        }
        return
      case 'stopped':
      case 'backoff':
        return
      default:
        return state satisfies never
    }
  }

  const wake = (now: Millis): void => {
    if (state.at === 'backoff') {
      if (now >= state.until) spawn(state.failures)
      else effects.push({ type: 'wakeAt', at: state.until })
    } else if (state.at === 'stopping' && state.killAt !== null) {
      if (now < state.killAt) effects.push({ type: 'wakeAt', at: state.killAt })
      else {
        enter({ ...state, stage: 'killing', killAt: null })
        effects.push({ type: 'kill', run })
      }
    }
  }

  const take = (now: Millis, input: SupervisorInput): void => {
    switch (input.type) {
      case 'start':
        return start()
      case 'adopt':
        if (state.at !== 'stopped') return
        run += 1
        return enter({ at: 'running', failures: 0, since: now })
      case 'stop':
        return stop(now, input.grace)
      case 'spawned':
        return input.run === run ? spawned(now) : undefined
      case 'ended':
        return input.run === run ? ended(now, input.why) : undefined
      case 'gone':
        if (input.run === run && state.at === 'stopping' && state.stage !== 'spawning') retire(state.again)
        return
      case 'wake':
        return wake(now)
      default:
        return input satisfies never
    }
  }

  return {
    step(now, input) {
      effects = []
      take(now, input)
      return effects
    },
    view: () => ({ state: state.at, reason: reasonOf(state), run }),
  }
}

function reasonOf(state: State): string {
  switch (state.at) {
    case 'stopped':
    case 'backoff':
      return state.reason
    case 'starting':
      return 'the program is being started'
    case 'running':
      return 'the program is running'
    case 'stopping':
      return state.stage === 'killing'
        ? `the program did not end within ${state.grace / 1000} s and is being killed`
        : 'the program is being stopped'
    default:
      return state satisfies never
  }
}
