import { basename, resolve } from 'node:path'
import { FleetError } from '../../protocol/index.ts'
import type { AgentConfig } from './config.ts'
import type { Driver } from './driver.ts'
import { createLaunch, type Refused } from './launch.ts'
import { createSlotted, type DriverInit } from './slotted.ts'

/**
 * The `agent` driver: fleetd replaces itself. A flip points the launcher at the other slot and ends this daemon; the next one reads the intent and
 * goes on under the same permit. One that is not well goes back in the same way, as long as it can; one that cannot is taken
 * back by the launcher. Either way the daemon that runs then finds the permit in the register and gives it back.
 */
export const createAgentDriver = (config: AgentConfig, init: DriverInit): Driver =>
  createSlotted(config, init, ({ slots, changed }) => {
    const launch = createLaunch(init.directory, config.program)
    let refused: Refused | undefined
    /** Nothing says so on disk that would have to be taken away. */
    let settled = false
    let ending = false

    return {
      async start() {
        assertLaunched(init.directory, process.env)
        const slot = await launch.current()
        const before = slots.current().slot ?? null
        if (slot !== before)
          init.log.info(
            { slot, before },
            `layer ${init.layer}: this fleetd is of slot ${slot ?? '(none)'}, the one before was of ${before ?? '(none)'}`,
          )
        // The launcher started what the link says, whatever was written down here before it.
        await slots.correct(slot)
        refused = await launch.refused()
        if (refused !== undefined)
          init.log.error(
            { slot: refused.slot },
            `layer ${init.layer}: the launcher went back from slot ${refused.slot}: ${refused.reason}`,
          )
        changed()
      },
      stop: async () => undefined,
      // This daemon runs: it was never out of service.
      restart: async () => undefined,

      async prepare(_image, directory) {
        if (refused?.slot !== basename(directory)) return
        await launch.forgive()
        refused = undefined
      },

      async flip(image, signal, within) {
        const slot = slots.find(image)!
        if (refused?.slot === slot) throw new FleetError('refused', `the new fleetd was taken back: ${refused.reason}`)
        const trial = await launch.trial()
        settled = false
        // The way back is no trial: there is nothing further back.
        if (trial?.back === slot) await launch.settle()
        else
          await launch.begin({
            seconds: Math.ceil((within + config.patience) / 1000),
            back: slots.current().slot ?? null,
          })
        await launch.point(slot)
        ending = true
        changed()
        init.log.info(
          { slot },
          `layer ${init.layer}: this daemon ends, and that of slot ${slot} is started in its place`,
        )
        init.restart?.()
        await ended(signal)
        throw new FleetError('unavailable', 'the daemon is being replaced')
      },

      async settle() {
        if (settled) return
        await launch.settle()
        await launch.forgive()
        refused = undefined
        settled = true
      },

      state: () =>
        ending
          ? { state: 'stopping', reason: 'fleetd is being replaced', pid: process.pid, run: 1 }
          : { state: 'running', reason: 'this fleetd runs', pid: process.pid, run: 1 },
      output: async () => '',
    }
  })

/** Throws `bad-input` unless fleetd-launcher for this layer started this daemon: nobody else would start the next one. */
function assertLaunched(directory: string, { FLEET_LAUNCHER }: NodeJS.ProcessEnv): void {
  if (FLEET_LAUNCHER !== undefined && resolve(FLEET_LAUNCHER) === resolve(directory)) return
  const found = FLEET_LAUNCHER === undefined ? 'it was not' : `it was started for ${FLEET_LAUNCHER}`
  throw new FleetError(
    'bad-input',
    `a layer with driver agent needs fleetd to be started by fleetd-launcher, and ${found}; start it with: fleetd-launcher ${directory} fleetd FLAGS`,
  )
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
