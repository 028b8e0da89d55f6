import { type Millis, millis, windowsAt } from '../../protocol/index.ts'
import { hasFailed } from '../ledger/stages.ts'
import type { LedgerValue } from '../ledger/value.ts'
import { backoff, held, type Self, say } from './state.ts'
import type { ReplaceIntent } from './types.ts'

// Under a permit, on the way down: drain, read the permit again, flip.

/** A re-read of the permit is good for this long: the flip begins within it or the register is asked again. */
export const ACT_WITHIN = millis(5_000)

export function drain(m: Self, intent: ReplaceIntent): void {
  m.stage = { at: 'draining', intent, again: null }
  m.effects.push({ type: 'drain', image: intent.to })
  say(m, 'draining', `draining under permit ${intent.token}`)
}

export function reread(m: Self, now: Millis, intent: ReplaceIntent): void {
  m.stage = { at: 'rereading', intent, since: now, again: null }
  m.effects.push({ type: 'reread', asked: now })
}

export function takeReread(m: Self, now: Millis, asked: Millis, value: LedgerValue | null): void {
  if (m.stage.at !== 'rereading') return
  const { intent, since } = m.stage
  // Asked for before it was drained, perhaps long before: this process may have stood still meanwhile, and the permit be gone.
  if (asked < since) return
  if (value === null) {
    m.stage = { ...m.stage, again: backoff(m, now) }
    say(m, 'draining', 'drained, and no quorum of voters answers: it does not go down until the permit is read again')
    return
  }
  m.ledger = value
  // It was written off, or its ledger was recovered and has another permit of it: which it may give back once it is in service.
  if (held(m, value, intent) === undefined) return putBack(m, intent, 'the register does not have its permit any more')
  const over = notAnyMore(m, now, intent, value)
  if (over !== undefined) return putBack(m, intent, over)
  if (now - asked > ACT_WITHIN) return reread(m, now, intent)
  flip(m, intent, millis(asked + ACT_WITHIN))
}

/** Whoever gives back a permit is in service: putting back what was drained may take it down once more, and counts until it is done. */
export function putBack(m: Self, intent: ReplaceIntent, reason: string): void {
  m.failures = 0
  m.stage = { at: 'undraining', intent, reason, again: null }
  m.effects.push({ type: 'undrain' })
  say(m, 'draining', `going back into service: ${reason}`)
}

/** Why what the permit was granted for is not to be done any more: a permit outlives the rollout that it is of, an open window and the plan's time. */
function notAnyMore(m: Self, now: Millis, intent: ReplaceIntent, value: LedgerValue): string | undefined {
  if (value.plan !== intent.plan) return `generation ${value.generation} has begun before it went down`
  if (value.phase === 'aborted') return 'the rollout was aborted before it went down'
  if (intent.kind !== 'replace') return undefined
  if (value.phase === 'reversing') return 'the rollout is being undone'
  if (m.plan === undefined || m.plan.id !== intent.plan) return undefined
  if (hasFailed(value, m.plan.body)) return 'the rollout has reached its failure limit'
  if (now > m.plan.body.notAfter) return `plan ${m.plan.body.generation} expired before it went down`
  return windowsAt(m.plan.body.windows, now).open ? undefined : 'the maintenance window closed before it went down'
}

function flip(m: Self, intent: ReplaceIntent, actBy: Millis): void {
  m.stage = { at: 'flipping', intent, before: m.health, again: null }
  m.health = { state: 'unknown', reason: 'no check has run since the flip' }
  m.effects.push({ type: 'flip', image: intent.to, actBy })
  say(m, 'starting', `starting the new image under permit ${intent.token}`)
}
