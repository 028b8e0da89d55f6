import { join } from 'node:path'
import type { Digest } from '../../protocol/index.ts'
import type { ExecConfig } from './config.ts'
import type { Driver } from './driver.ts'
import { createSlotted, type DriverInit } from './slotted.ts'
import { runStep } from './step.ts'

/**
 * The `exec` driver: the operator's own commands bring the host to an image, whatever that takes: the other of two partitions, a bootloader's
 * variable, a kernel, somebody's API. fleetd unpacks the image, says when, and remembers which is current. Each command may be run
 * again after a crash or a reboot in its middle, so it has to be one that may.
 */
export function createExecDriver(config: ExecConfig, init: DriverInit): Driver {
  const { health, ...rest } = config
  const checks = [
    ...rest.checks,
    ...(health === undefined ? [] : [{ ...HEALTH, ...health, name: 'health', exec: health.run }]),
  ]
  return createSlotted({ ...rest, checks }, init, ({ slots, environment, changed }) => {
    let run = 1

    const step = (
      name: 'prepare' | 'switch' | 'undo',
      image: Digest,
      cwd: string,
      signal?: AbortSignal,
    ): Promise<void> =>
      runStep(config[name], {
        ...{ name, cwd, log: init.log, env: { ...environment(image), FLEET_DIRECTORY: cwd } },
        ...(signal === undefined ? {} : { signal }),
      })

    return {
      async start() {
        changed()
      },
      // What the commands have brought about outlives fleetd.
      stop: async () => undefined,
      restart: async () => undefined,
      prepare: (image, directory, signal) => step('prepare', image, directory, signal),
      async flip(image) {
        const back = config.undo !== undefined && slots.current().previous === image
        const directory = join(init.directory, 'slots', slots.find(image)!)
        await step(back ? 'undo' : 'switch', image, directory)
        await slots.use(image)
        run += 1
        changed()
      },
      state: () => ({ state: 'running', reason: 'the image was switched to', pid: undefined, run }),
      output: async () => '',
    }
  })
}

const HEALTH = { interval: 1_000, failures: 3, successes: 1 }
