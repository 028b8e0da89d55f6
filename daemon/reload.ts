import type { Logger } from 'pino'
import { toFleetError } from '../protocol/index.ts'
import { type Config, changesBetween } from './config/index.ts'
import { createLane } from './drivers/index.ts'
import type { notify } from './notify.ts'

export interface ReloadInit {
  /** The configuration that the daemon was started with. */
  readonly running: Config
  /** Reads files, variables and flags anew. Throws `bad-input` on a mistake. */
  load(): Promise<Config>
  /** Makes it the daemon's; throws, with all as it was, when it cannot be. */
  apply(next: Config): void
  readonly notify: typeof notify
  readonly log: Logger
}

/**
 * What SIGHUP does: takes up what can change while the daemon runs, and says in the log what that was and what waits for a
 * restart. A configuration with a mistake changes nothing. Several at once are done one after another; never rejects.
 */
export function createReload({ running, load, apply, notify, log }: ReloadInit): () => Promise<void> {
  const lane = createLane()
  let current = running
  const reload = async (): Promise<void> => {
    try {
      const next = await load()
      const changes = changesBetween(current, next, running)
      apply(next)
      current = next
      log.info(
        changes,
        `configuration reloaded; changed: ${list(changes.now)}; waits for a restart: ${list(changes.atRestart)}`,
      )
    } catch (error) {
      log.error(`the configuration was not reloaded, and stays as it was: ${toFleetError(error).message}`)
    }
  }
  return () =>
    lane(async () => {
      // systemd wants to be told of both ends, whatever comes of it (sd_notify(3)).
      await notify('RELOADING=1', log)
      await reload()
      await notify('READY=1', log)
    })
}

const list = (names: readonly string[]): string => (names.length === 0 ? 'nothing' : names.join(', '))
