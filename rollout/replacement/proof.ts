import type { Millis } from '../../protocol/index.ts'
import { release } from './release.ts'
import { type Self, save, say } from './state.ts'
import type { ReplaceIntent } from './types.ts'

// Under a permit, on the way up: healthy for long enough and confirmed, or back to the image before.

export function verify(m: Self, now: Millis, intent: ReplaceIntent): void {
  m.failures = 0
  const healthy = m.health.state === 'passing'
  m.stage = { at: 'verifying', intent, flippedAt: now, healthySince: healthy ? now : null, confirm: 'not-yet' }
  say(
    m,
    'verifying',
    healthy ? staysHealthy(now, intent) : `waiting for the new image to be healthy: ${m.health.reason}`,
  )
  judge(m, now)
}

/** Healthy from `now` on, and for how long that has to last, in a sentence. */
export const staysHealthy = (now: Millis, { minHealthy }: ReplaceIntent): string =>
  `healthy; it has to stay so until ${new Date(now + minHealthy).toISOString()}`

/** Verifying: has it been healthy for long enough, or is its time over? */
export function judge(m: Self, now: Millis): void {
  if (m.stage.at !== 'verifying') return
  const { intent, flippedAt, healthySince, confirm } = m.stage
  if (m.ledger?.plan === intent.plan && m.ledger.phase === 'reversing' && intent.kind === 'replace')
    return revert(m, intent, 'the rollout is being undone')
  if (now - flippedAt >= intent.deadline) {
    if (intent.kind === 'replace')
      return revert(m, intent, `not healthy within ${intent.deadline / 1000} s: ${m.health.reason}`)
    // Going back is the last resort, and so is its own image afresh: there is nothing further back. The permit is kept until the node is healthy.
  }
  if (healthySince === null || now - healthySince < intent.minHealthy) return
  if (confirm === 'not-yet' || (confirm !== 'asked' && now >= confirm)) {
    m.stage = { ...m.stage, confirm: 'asked' }
    m.effects.push({ type: 'confirm' })
    say(m, 'verifying', 'healthy; waiting for peers to confirm it')
  }
}

export function succeed(m: Self, intent: ReplaceIntent): void {
  if (intent.passing === true)
    release(m, intent, 'passed', 'healthy and confirmed on an image that may not be skipped; the next one is ahead')
  else release(m, intent, 'ok', 'healthy and confirmed')
}

export function revert(m: Self, intent: ReplaceIntent, failure: string): void {
  m.failures = 0
  const failed: ReplaceIntent = { ...intent, failure }
  if (failed.oneWay === true && m.current === failed.to)
    return release(m, failed, 'rolledback', `${failure}; it stays on an image that has no way back`)
  if (failed.from === null || failed.from === failed.to) return release(m, failed, 'rolledback', failure)
  m.stage = { at: 'reverting', intent: failed, again: null }
  m.health = { state: 'unknown', reason: 'no check has run since the flip back' }
  save(m, failed)
  say(m, 'reverting', failure)
}

/** The permit goes back when the old image is healthy, at the latest after the deadline. */
export function recover(m: Self, now: Millis): void {
  if (m.stage.at !== 'recovering') return
  const { intent, since, outcome, reason } = m.stage
  if (m.health.state === 'passing' || now - since >= intent.deadline) release(m, intent, outcome, reason)
}

export function beginRecovery(m: Self, now: Millis, intent: ReplaceIntent): void {
  const reason = intent.failure ?? 'it was flipped back'
  m.stage = { at: 'recovering', intent, since: now, outcome: 'rolledback', reason }
  say(m, 'reverting', `back on the image before: ${reason}`)
  recover(m, now)
}
