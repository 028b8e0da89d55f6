import { type Millis, type Plan, windowsAt } from '../../protocol/index.ts'
import type { LedgerValue } from './value.ts'

/**
 * Why a rollout has to be called stalled at `now`, or undefined: nothing has moved for its deadline and progress deadline together. A soak is no
 * stall, and neither is a window that is closed or was closed a moment ago: a rollout whose windows are shorter than its deadlines never stalls.
 */
export function stalled(value: LedgerValue, plan: Plan, now: Millis): string | undefined {
  if (value.phase !== 'canary' && value.phase !== 'rolling' && value.phase !== 'reversing') return undefined
  const patience = plan.deadline + plan.progressDeadline
  const quiet = now - value.progressAt
  if (quiet < patience) return undefined
  if (value.phase !== 'reversing') {
    const open = (at: number): boolean => windowsAt(plan.windows, at as Millis).open
    if (!open(now) || !open(now - patience)) return undefined
  }
  const long = quiet < 120_000 ? `${Math.round(quiet / 1000)} seconds` : `${Math.round(quiet / 60_000)} minutes`
  return `nothing has moved for ${long}`
}
