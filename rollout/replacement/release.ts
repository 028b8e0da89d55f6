import type { Millis } from '../../protocol/index.ts'
import { orient } from './approach.ts'
import { rest, type Self, save, say } from './state.ts'
import type { Outcome, ReleaseIntent } from './types.ts'

// The permit on its way back.

export function release(m: Self, { token }: { token: number }, outcome: Outcome, reason: string): void {
  const intent: ReleaseIntent = { act: 'release', token, outcome, reason }
  m.stage = { at: 'releasing', intent, again: null }
  save(m, intent)
  say(m, outcome === 'rolledback' ? 'failed' : 'verifying', outcome === 'ok' ? `giving back permit ${token}` : reason)
}

export function proposeRelease(m: Self, { token, outcome, reason }: ReleaseIntent): void {
  // To the ledger, a node that has passed a barrier still has to go.
  m.effects.push({ type: 'release', token, outcome: outcome === 'passed' ? 'skipped' : outcome, reason })
}

export function unbind(m: Self, now: Millis): void {
  m.effects.push({ type: 'persist-intent', intent: null })
  rest(m)
  orient(m, now)
}
