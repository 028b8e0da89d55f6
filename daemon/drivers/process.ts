import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import { type Digest, FleetError, type NodeId, type Random } from '../../protocol/index.ts'
import { createChecks } from './checks.ts'
import type { LayerConfig } from './config.ts'
import type { Driver, HookAnswer } from './driver.ts'
import { runHook } from './hooks.ts'
import { createSlots } from './slots.ts'
import { createSupervisor, type Program } from './supervisor.ts'

export interface DriverInit {
  readonly layer: string
  /** The layer's own directory. */
  readonly directory: string
  readonly node: NodeId
  readonly random: Random
  readonly log: Logger
}

/** The `process` driver: fleetd itself runs the program that is in the slot. */
export function createProcessDriver(config: LayerConfig, init: DriverInit): Driver {
  const { directory, layer, log } = init
  const slots = createSlots(directory, config.keep)
  let listener: () => void = () => undefined
  const supervisor = createSupervisor({ directory, random: init.random, log, onChange: () => listener() })
  const checks = createChecks(config.checks, config.env, () => listener())
  let turn: Promise<unknown> = Promise.resolve()

  /** Steps that touch the program wait for one another. */
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const mine = turn.then(step)
    turn = mine.catch(() => undefined)
    return mine
  }

  const environment = (image: Digest | undefined): Record<string, string> => ({
    ...config.env,
    FLEET_NODE: init.node,
    FLEET_LAYER: layer,
    FLEET_IMAGE: image ?? '',
    FLEET_IMAGE_CURRENT: slots.current().digest ?? '',
    FLEET_SLOT: slots.current().slot ?? '',
  })

  const program = (): Program | undefined => {
    const { directory: cwd, digest } = slots.current()
    return cwd === undefined ? undefined : { command: config.command, env: environment(digest), cwd }
  }

  const hook = (command: string | undefined, image: Digest, signal: AbortSignal): Promise<HookAnswer> =>
    command === undefined
      ? Promise.resolve({ answer: 'ok', reason: 'there is no such hook' })
      : runHook({ command, cwd: directory, env: environment(image), timeout: config.hooks.timeout, signal })

  return {
    start: () =>
      inTurn(async () => {
        await mkdir(directory, { recursive: true, mode: 0o755 })
        await slots.load()
        const current = program()
        if (current === undefined) return
        await supervisor.adoptOrStart(current)
        checks.reset(current.cwd)
      }),
    async stop({ leaveRunning }) {
      await turn
      checks.stop()
      if (leaveRunning) supervisor.release()
      else await supervisor.stop(config.stopTimeout)
    },
    stage: ({ digest }, unpack, signal) => inTurn(() => slots.fill(digest, target => unpack(target, signal))),
    ready: (image, signal) => hook(config.hooks.ready, image, signal),
    drain: (image, signal) => hook(config.hooks.drain, image, signal),
    undrain: () =>
      inTurn(async () => {
        const current = program()
        if (current === undefined || config.hooks.drain === undefined) return
        await supervisor.stop(config.stopTimeout)
        await supervisor.start(current)
        checks.reset(current.cwd)
      }),
    flip: image =>
      inTurn(async () => {
        if (slots.find(image) === undefined)
          throw new FleetError(
            'not-found',
            `no slot of layer ${layer} holds image ${image.slice(0, 12)}; it has to be staged first`,
          )
        const { directory: running } = supervisor.state()
        if (slots.current().digest === image && supervisor.state().running && running === slots.current().directory)
          return
        await supervisor.stop(config.stopTimeout)
        await slots.use(image)
        const next = program()!
        await supervisor.start(next)
        checks.reset(next.cwd)
      }),
    current: () => {
      const { digest, slot, previous } = slots.current()
      return { digest, slot, previous }
    },
    holds: () => slots.holds(),
    health() {
      if (slots.current().digest === undefined) return { health: 'unknown', reason: 'nothing is installed' }
      const { running, reason } = supervisor.state()
      return running ? checks.health() : { health: 'failing', reason }
    },
    onHealth(next) {
      listener = next
    },
  }
}
