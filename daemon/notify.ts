import { execFile } from 'node:child_process'
import type { Logger } from 'pino'

/** How long systemd may take to hear of it, milliseconds. Nothing waits for that. */
const PATIENCE = 5_000

/**
 * Tells systemd how the daemon stands (sd_notify(3)); does nothing where no service manager listens. Node has no datagram
 * socket for it, so the program that comes with systemd is asked. It speaks from a process of its own, so a unit that does not
 * run as root needs `NotifyAccess=all`. Resolves when it was told; never rejects: a failure is a line in the log.
 */
export function notify(state: 'READY=1' | 'STOPPING=1' | 'RELOADING=1', log: Logger): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return Promise.resolve()
  return new Promise(done => {
    // Type=notify-reload wants to know when the reload began, on CLOCK_MONOTONIC, which is what hrtime reads.
    const more = state === 'RELOADING=1' ? [`MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`] : []
    execFile('systemd-notify', [state, ...more], { timeout: PATIENCE }, error => {
      if (error !== null) {
        const missing = error.code === 'ENOENT'
        log.warn(
          { err: missing ? undefined : error },
          missing
            ? `NOTIFY_SOCKET is set, but there is no systemd-notify to tell systemd ${state}; install it, or use Type=exec in the unit`
            : `could not tell systemd ${state}`,
        )
      }
      done()
    })
  })
}
