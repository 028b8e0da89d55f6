import { execFile } from 'node:child_process'
import type { Logger } from 'pino'

/** Tells systemd (sd_notify(3)); does nothing where no service manager listens. Node has no datagram socket for it, so the program that comes with systemd is asked. */
export function notify(state: 'READY=1' | 'STOPPING=1', log: Logger): void {
  if (process.env.NOTIFY_SOCKET === undefined) return
  execFile('systemd-notify', [state], error => {
    if (error !== null) log.warn({ err: error }, `could not tell systemd ${state}`)
  })
}
