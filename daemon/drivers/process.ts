import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import { type Digest, FleetError, type NodeId, type Random } from '../../protocol/index.ts'
import { createChecks } from './checks.ts'
import type { LayerConfig } from './config.ts'
import type { Driver, HookAnswer } from './driver.ts'
import { runHook } from './hooks.ts'
import { createLane } from './lane.ts'
import { createProgram, type ProgramSpec } from './program.ts'
import { makeWritable } from './slot-tree.ts'
import { createSlots } from './slots.ts'

export interface DriverInit {
  readonly layer: string
  /** The layer's own directory. */
  readonly directory: string
  readonly node: NodeId
  readonly random: Random
  readonly log: Logger
  /** Milliseconds of a clock that never goes back; that of the process unless given. */
  readonly now?: () => number
}

/** The `process` driver: fleetd itself runs the program that is in the slot. */
export function createProcessDriver(config: LayerConfig, init: DriverInit): Driver {
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

  const spec = (): ProgramSpec | undefined => {
    const { directory: cwd, digest } = slots.current()
    return cwd === undefined ? undefined : { command: config.command, env: environment(digest), cwd }
  }

  const checks = createChecks(config.checks, () => listener())
  const program = createProgram({
    directory,
    random: init.random,
    now: init.now ?? (() => performance.now()),
    log,
    onChange() {
      const { state, run, cwd } = program.state()
      // What was seen of an earlier run says nothing of this one.
      if (state !== 'running') checks.stop()
      else if (run !== checkedRun && cwd !== undefined) {
        checkedRun = run
        checks.reset({ cwd, env: environment(slots.current().digest) })
      }
      listener()
    },
  })

  /** Steps that touch the program wait for one another. */
  const inTurn = <T>(signal: AbortSignal | undefined, step: () => Promise<T>): Promise<T> =>
    turns(async () => {
      if (life.signal.aborted) throw new FleetError('unavailable', `layer ${layer}: the daemon is stopping`)
      signal?.throwIfAborted()
      return step()
    })

  const hook = async (name: 'ready' | 'drain', image: Digest, signal: AbortSignal): Promise<HookAnswer> => {
    const command = config.hooks[name]
    const { directory: cwd } = slots.current()
    if (command === undefined) return { answer: 'ok', reason: `there is no ${name} hook` }
    if (cwd === undefined) return { answer: 'ok', reason: 'nothing is installed yet' }
    const { timeout } = config.hooks
    const { answer, reason, output } = await runHook({ command, cwd, env: environment(image), timeout, signal })
    log[answer === 'failed' ? 'warn' : 'info']({ hook: name, answer, output }, `hook ${name}: ${reason}`)
    return { answer, reason: `hook ${name}: ${reason}` }
  }

  const restart = async (): Promise<void> => {
    const next = spec()
    await program.stop(config.stopTimeout)
    if (next !== undefined) await program.start(next)
  }

  return {
    start: () =>
      inTurn(undefined, async () => {
        await mkdir(directory, { recursive: true, mode: 0o755 })
        for (const slot of await slots.load()) {
          log.error({ slot }, `slot ${slot} of layer ${layer} is gone from ${directory}; it counts as empty`)
        }
        const current = spec()
        if (current === undefined) await program.endLeftover(config.stopTimeout)
        else await program.adoptOrStart(current, config.stopTimeout)
        await slots.sweep()
      }),

    async stop({ leaveRunning }) {
      life.abort()
      await staging(async () => undefined)
      await turns(async () => {
        checks.stop()
        if (leaveRunning) await program.release()
        else await program.stop(config.stopTimeout)
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
          await slots.fill(digest, target => unpack(target, either.signal), either.signal)
        } finally {
          for (const end of ends) end.removeEventListener('abort', abort)
        }
      }),

    ready: (image, signal) => hook('ready', image, signal),
    drain: (image, signal) => hook('drain', image, signal),

    undrain: signal =>
      inTurn(signal, async () => {
        if (config.hooks.drain !== undefined) await restart()
      }),

    flip: (image, signal) =>
      inTurn(signal, async () => {
        if (slots.find(image) === undefined) {
          const name = `image ${image.slice(0, 12)}`
          throw new FleetError('not-found', `no slot of layer ${layer} holds ${name}; it has to be staged first`)
        }
        if (slots.current().slot === slots.find(image) && program.state().state === 'running') return
        await program.stop(config.stopTimeout)
        try {
          await slots.use(image)
        } finally {
          // Where the disk takes no new word, the old one still holds: better the old program than none.
          const next = spec()
          if (next !== undefined) await program.start(next)
        }
      }),

    current: () => {
      const { digest, slot, previous, directory, since, marks } = slots.current()
      return { digest, slot, previous, directory, since, marks }
    },
    output: bytes => program.output(bytes),
    mark: change => slots.mark(change),
    async open() {
      const { directory } = slots.current()
      if (directory === undefined) throw new FleetError('not-found', `nothing is installed in layer ${layer} yet`)
      await makeWritable(directory)
    },
    slots: () => slots.list(),
    holds: () => slots.list().flatMap(({ digest }) => digest ?? []),
    state: () => {
      const { state, reason, pid } = program.state()
      return { state, reason, pid }
    },
    health() {
      if (slots.current().digest === undefined) return { health: 'unknown', reason: 'nothing is installed' }
      const { state, reason } = program.state()
      return state === 'running' ? checks.health() : { health: 'failing', reason }
    },
    onHealth(next) {
      listener = next
      next()
    },
  }
}
