import type { Millis, Plan, Statement } from '../../protocol/index.ts'
import { countSettled } from './stages.ts'
import type { LedgerValue, Past } from './value.ts'

/** Generations that a ledger remembers; the oldest is forgotten first. */
export const MAX_HISTORY = 16
/** Characters of a reason that are kept of a generation that is over. */
const MAX_REASON = 200

/** The history once a new plan begins: the generation before gets its end. */
export function remembered(value: LedgerValue, plan: Statement<Plan>, now: Millis): readonly Past[] {
  const { generation, layer, image, version } = plan.body
  const before = value.history.map(past => (past.end === null ? { ...past, end: endOf(value) } : past))
  const next: Past = { generation, plan: plan.id, layer, image, version, since: now, end: null }
  return [...before, next].slice(-MAX_HISTORY)
}

/** How the newest generation stands, as it is remembered. */
export function endOf(value: LedgerValue): NonNullable<Past['end']> {
  const { ok, failed } = countSettled(value)
  return { phase: value.phase, reason: value.reason.slice(0, MAX_REASON), ok, failed, at: value.progressAt }
}
