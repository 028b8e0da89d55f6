import { Cron } from 'croner'
import { FleetError } from './errors.ts'
import { type Millis, millis } from './ids.ts'
import type { MaintenanceWindow } from './statements/rollout.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * `CRON/DURATION/ZONE` as people write it, for example `0 2 * * MON-FRI/3h/Europe/Berlin`; the zone is UTC where it is left out. A cron expression may have
 * slashes of its own, and so does many a zone: the duration is the last piece that is a number and a unit. Throws `bad-input`.
 */
export function parseWindow(text: string): MaintenanceWindow {
  const parts = text.split('/')
  const at = parts.findLastIndex(part => /^\d+(\.\d+)?[smhd]$/.test(part))
  if (at < 1)
    throw new FleetError('bad-input', `window ${text}: expected CRON/DURATION/ZONE, such as 0 2 * * */3h/Europe/Berlin`)
  const duration = Math.round(Number.parseFloat(parts[at]!) * UNITS[parts[at]!.at(-1)!]!)
  const window = {
    cron: parts.slice(0, at).join('/').trim(),
    duration,
    zone: parts.length > at + 1 ? parts.slice(at + 1).join('/') : 'UTC',
  }
  assertWindow(window)
  return window
}

/** Throws `bad-input` where the cron expression, the zone or the duration means nothing, or the window never opens. */
export function assertWindow(window: MaintenanceWindow): void {
  const objection = (why: string): FleetError =>
    new FleetError('bad-input', `window ${window.cron}/${window.duration / 60_000}m/${window.zone}: ${why}`)
  if (window.duration < 60_000 || window.duration > 31 * 86_400_000) throw objection('expected a duration of 1m to 31d')
  try {
    new Intl.DateTimeFormat('en', { timeZone: window.zone })
  } catch {
    throw objection(`there is no time zone ${window.zone}; expected an IANA name such as Europe/Berlin`)
  }
  try {
    if (opening(window, 0) === undefined) throw new Error('it never opens')
  } catch (error) {
    throw objection((error as Error).message.replace(/^Cron\w+: /, ''))
  }
}

export type WindowState =
  | { readonly open: true; readonly closes: Millis | null }
  /** `opens` null: never, or its cron expression or zone is none that this host knows. */
  | { readonly open: false; readonly opens: Millis | null }

/**
 * Whether one of the windows is open at `now`. With none there is nothing to wait for.
 *
 * A window opens at each time its cron expression names on the wall clocks of its zone. Where clocks go forward, a time that is left out is taken
 * when the gap ends; where they go back, a time that comes twice is taken once, the first time. The duration is real time: a window of three
 * hours is open for three hours in either night.
 */
export function windowsAt(windows: readonly MaintenanceWindow[], now: Millis): WindowState {
  if (windows.length === 0) return { open: true, closes: null }
  let opens: number | undefined
  let closes: number | undefined
  for (const window of windows) {
    try {
      // It is open when it has opened within its duration: strictly after `now - duration`, at or before `now`.
      const began = opening(window, now - window.duration)
      if (began !== undefined && began <= now) closes = Math.max(closes ?? 0, began + window.duration)
      else if (began !== undefined) opens = Math.min(opens ?? began, began)
    } catch {
      // It was checked before it was signed. A host that knows the zone no more goes nowhere, rather than at any time.
    }
  }
  if (closes !== undefined) return { open: true, closes: millis(closes) }
  return { open: false, opens: opens === undefined ? null : millis(opens) }
}

/** The first opening after this time. */
function opening({ cron, zone }: MaintenanceWindow, after: number): number | undefined {
  return new Cron(cron, { timezone: zone, paused: true }).nextRun(new Date(after))?.getTime()
}
