import { readlink, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncDirectory } from '../state/index.ts'
import type { ServiceConfig } from './config.ts'
import { pause } from './deadline.ts'
import type { Driver } from './driver.ts'
import { createSlotted, type DriverInit } from './slotted.ts'
import { createUnit, type UnitState } from './unit.ts'

/** How often systemd is asked how the unit is: each is a process of a few milliseconds. */
const LOOK_EVERY = 2_000

/**
 * The `service` driver: systemd runs what is in the slot. The operator's unit names the link (`link`, by default `current` in the layer's
 * directory); a flip has it point to the other slot and restarts the unit.
 */
export const createServiceDriver = (config: ServiceConfig, init: DriverInit): Driver =>
  createSlotted(config, init, ({ slots, changed }) => {
    const unit = createUnit(config.unit, config.scope, config.timeout)
    const link = config.link ?? join(init.directory, 'current')
    const life = new AbortController()
    let seen: UnitState = { state: 'stopped', reason: 'the unit was not looked at yet', pid: undefined, invocation: '' }
    let run = 0
    let watching: Promise<void> = Promise.resolve()

    const see = (next: UnitState): void => {
      const before = seen
      seen = next
      if (next.invocation !== before.invocation) run += 1
      if (next.state !== before.state || next.reason !== before.reason || next.invocation !== before.invocation)
        changed()
    }
    const look = async (): Promise<void> => {
      try {
        see(await unit.look())
      } catch (error) {
        see({ ...seen, state: 'stopped', reason: (error as Error).message, pid: undefined })
      }
    }
    const watch = async (): Promise<void> => {
      while (!life.signal.aborted) {
        if (slots.current().digest !== undefined) await look()
        await pause(LOOK_EVERY, life.signal)
      }
    }

    /** Has the link lead to the current slot. True when it led elsewhere. */
    const point = async (): Promise<boolean> => {
      const { directory } = slots.current()
      if (directory === undefined) return false
      const before = await readlink(link).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      if (before === directory) return false
      const next = `${link}.new`
      await rm(next, { force: true })
      await symlink(directory, next)
      await rename(next, link)
      await syncDirectory(dirname(link))
      return true
    }

    return {
      async start() {
        if (slots.current().directory !== undefined) {
          // A daemon that was killed between the two left the unit on the other slot.
          const moved = await point()
          await (moved ? unit.restart() : unit.start()).catch(error =>
            init.log.error({ err: error }, `layer ${init.layer}: unit ${config.unit} could not be started`),
          )
        }
        watching = watch()
      },
      async stop(leaveRunning) {
        life.abort()
        await watching
        if (!leaveRunning && slots.current().directory !== undefined) await unit.stop()
      },
      async restart() {
        await unit.restart()
        await look()
      },
      async flip(image) {
        await slots.use(image)
        await point()
        seen = { ...seen, state: 'starting', reason: `unit ${config.unit} is being restarted` }
        changed()
        try {
          await unit.restart()
        } catch (error) {
          // It was made current, and is not well: the checks and the deadline have the say now, as with a program that ends by itself.
          init.log.warn({ err: error }, `layer ${init.layer}: unit ${config.unit} could not be restarted`)
        }
        await look()
      },
      state: () => ({ state: seen.state, reason: seen.reason, pid: seen.pid, run }),
      output: async bytes => (await unit.journal(Math.max(1, Math.ceil(bytes / 80)))).slice(-bytes),
    }
  })
