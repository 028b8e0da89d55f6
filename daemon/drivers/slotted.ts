import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import { type Digest, FleetError, type NodeId, type Random } from '../../protocol/index.ts'
import { createChecks } from './checks.ts'
import type { CommonConfig } from './config.ts'
import type { Driver, HookAnswer, ProgramState } from './driver.ts'
import { runHook } from './hooks.ts'
import { createLane } from './lane.ts'
import { makeWritable } from './slot-tree.ts'
import { createSlots, type Slots } from './slots.ts'

export interface DriverInit {
  readonly layer: string
  /** The layer's own directory. */
  readonly directory: string
  readonly node: NodeId
  readonly random: Random
  readonly log: Logger
  /** Milliseconds of a clock that never goes back; that of the process unless given. */
  readonly now?: () => number
  /** Ends this daemon, so that another is started in its place. Nothing that it runs ends with it. */
  readonly restart?: () => void
}

/** What a kind of driver does with its slots. Steps wait for one another; all may be repeated. */
export interface Runner {
  /** Takes up what runs in the current slot, or starts it; ends what is left where nothing is to run. */
  start(): Promise<void>
  /** Nothing is asked of it afterwards. */
  stop(leaveRunning: boolean): Promise<void>
  /** Runs what is current afresh. */
  restart(): Promise<void>
  /** Makes the slot with this image current, by `slots.use`, and runs it. A slot holds it. */
  flip(image: Digest, signal: AbortSignal, within: number): Promise<void>
  settle?(): Promise<void>
  /** What is to be done with an image besides unpacking it, before it can be run. */
  prepare?(image: Digest, directory: string, signal: AbortSignal): Promise<void>
  /** `run` tells one start from the next: what checks saw of an earlier one says nothing of this one. */
  state(): ProgramState & { readonly run: number }
  output(bytes: number): Promise<string>
}

/** What a runner is given. */
export interface Surroundings {
  readonly slots: Slots
  /** Of commands about an image. */
  environment(image: Digest | undefined): Record<string, string>
  /** `state` says something else than before. */
  changed(): void
}

/** The part of a driver that is the same for all: slots, staging, hooks, checks, and that one step waits for the other. */
export function createSlotted(
  config: CommonConfig,
  init: DriverInit,
  createRunner: (surroundings: Surroundings) => Runner,
): Driver {
  const { directory, layer, log } = init
  const slots = createSlots(directory, config.keep)
  const life = new AbortController()
  // Fetching and unpacking may take an hour; going back must not wait for it.
  const staging = createLane()
  const turns = createLane()
  let listener: () => void = () => undefined
  let checkedRun = 0

  const environment = (image: Digest | undefined): Record<string, string> => ({
    ...config.env,
    FLEET_NODE: init.node,
    FLEET_LAYER: layer,
    FLEET_IMAGE: image ?? '',
    FLEET_IMAGE_CURRENT: slots.current().digest ?? '',
    FLEET_SLOT: slots.current().slot ?? '',
  })

  const checks = createChecks(config.checks, () => listener())
  const runner = createRunner({
    slots,
    environment,
    changed() {
      const { state, run } = runner.state()
      const { directory: cwd, digest } = slots.current()
      // What was seen of an earlier run says nothing of this one.
      if (state !== 'running') checks.stop()
      else if (run !== checkedRun && cwd !== undefined) {
        checkedRun = run
        checks.reset({ cwd, env: environment(digest) })
      }
      listener()
    },
  })

  /** Steps that touch what runs wait for one another. */
  const inTurn = <T>(signal: AbortSignal | undefined, step: () => Promise<T>): Promise<T> =>
    turns(async () => {
      if (life.signal.aborted) throw new FleetError('unavailable', `layer ${layer}: the daemon is stopping`)
      signal?.throwIfAborted()
      return step()
    })

  const hook = async (name: 'ready' | 'drain' | 'undrain', image: Digest, signal: AbortSignal): Promise<HookAnswer> => {
    const command = config.hooks[name]
    const { directory: cwd } = slots.current()
    if (command === undefined) return { answer: 'ok', reason: `there is no ${name} hook` }
    if (cwd === undefined) return { answer: 'ok', reason: 'nothing is installed yet' }
    const { timeout } = config.hooks
    const { answer, reason, output } = await runHook({ command, cwd, env: environment(image), timeout, signal })
    log[answer === 'failed' ? 'warn' : 'info']({ hook: name, answer, output }, `hook ${name}: ${reason}`)
    return { answer, reason: `hook ${name}: ${reason}` }
  }

  return {
    start: () =>
      inTurn(undefined, async () => {
        await mkdir(directory, { recursive: true, mode: 0o755 })
        for (const slot of await slots.load()) {
          log.error({ slot }, `slot ${slot} of layer ${layer} is gone from ${directory}; it counts as empty`)
        }
        await runner.start()
        await slots.sweep()
      }),

    async stop({ leaveRunning }) {
      life.abort()
      await staging(async () => undefined)
      await turns(async () => {
        checks.stop()
        await runner.stop(leaveRunning)
      })
    },

    stage: ({ digest }, unpack, signal) =>
      staging(async () => {
        const either = new AbortController()
        const abort = (): void => either.abort()
        const ends = [signal, life.signal]
        for (const end of ends) end.addEventListener('abort', abort, { once: true })
        try {
          for (const end of ends) end.throwIfAborted()
          const fill = async (target: string): Promise<void> => {
            await unpack(target, either.signal)
            await runner.prepare?.(digest, target, either.signal)
          }
          await slots.fill(digest, fill, either.signal)
        } finally {
          for (const end of ends) end.removeEventListener('abort', abort)
        }
      }),

    ready: (image, signal) => hook('ready', image, signal),
    drain: (image, signal) => hook('drain', image, signal),

    undrain: signal =>
      inTurn(signal, async () => {
        const { digest } = slots.current()
        if (config.hooks.undrain !== undefined && digest !== undefined) await hook('undrain', digest, signal)
        else if (config.hooks.drain !== undefined) await runner.restart()
      }),

    flip: (image, signal, within = 0) =>
      inTurn(signal, async () => {
        if (slots.find(image) === undefined) {
          const name = `image ${image.slice(0, 12)}`
          throw new FleetError('not-found', `no slot of layer ${layer} holds ${name}; it has to be staged first`)
        }
        if (slots.current().slot === slots.find(image) && runner.state().state === 'running') return
        await runner.flip(image, signal, within)
      }),
    settle: () => inTurn(undefined, async () => runner.settle?.()),

    current: () => slots.current(),
    output: bytes => runner.output(bytes),
    mark: change => slots.mark(change),
    async open() {
      const { directory } = slots.current()
      if (directory === undefined) throw new FleetError('not-found', `nothing is installed in layer ${layer} yet`)
      await makeWritable(directory)
    },
    slots: () => slots.list(),
    holds: () => slots.list().flatMap(({ digest }) => digest ?? []),
    state: () => {
      const { state, reason, pid } = runner.state()
      return { state, reason, pid }
    },
    health() {
      if (slots.current().digest === undefined) return { health: 'unknown', reason: 'nothing is installed' }
      const { state, reason } = runner.state()
      return state === 'running' ? checks.health() : { health: 'failing', reason }
    },
    onHealth(next) {
      listener = next
      next()
    },
  }
}
