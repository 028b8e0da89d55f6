import type { Millis } from '../../protocol/index.ts'
import type { LedgerValue } from '../ledger/value.ts'
import { drain, putBack } from './disruption.ts'
import { beginRecovery, recover, revert, verify } from './proof.ts'
import { proposeRelease, unbind } from './release.ts'
import { backoff, held, type Self, say } from './state.ts'
import type { Intent } from './types.ts'

// After a restart with an intent on disk.

/** The register has been read: is the permit still ours? */
export function takeUp(m: Self, now: Millis, intent: Intent, value: LedgerValue | null): void {
  if (value === null) {
    m.stage = { at: 'resuming', intent, again: backoff(m, now) }
    return
  }
  m.ledger = value
  m.failures = 0
  resume(m, now, intent, value)
}

function resume(m: Self, now: Millis, intent: Intent, value: LedgerValue): void {
  if (held(m, value, intent) === undefined) {
    // It was written off, or its ledger was recovered: then it holds another permit, which it may give back once it is in service.
    if (intent.act === 'release') return unbind(m, now)
    const reason = 'the register does not have its permit any more'
    if (m.current === intent.from) return putBack(m, intent, reason)
    m.stage = { at: 'recovering', intent, since: now, outcome: 'rolledback', reason }
    say(m, 'verifying', reason)
    return recover(m, now)
  }
  if (intent.act === 'release') {
    m.stage = { at: 'releasing', intent, again: null }
    return proposeRelease(m, intent)
  }
  if (intent.failure !== null)
    return m.current === intent.from ? beginRecovery(m, now, intent) : revert(m, intent, intent.failure)
  // What a renewal puts in place has the same name; only that the slot is not marked any more shows that it was done.
  if (m.current === intent.to && !(intent.from === intent.to && m.mark !== null)) return verify(m, now, intent)
  drain(m, intent)
}
