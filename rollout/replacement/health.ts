import type { Health, Millis } from '../../protocol/index.ts'
import { hasBit } from '../ledger/bits.ts'
import { judge, recover, staysHealthy } from './proof.ts'
import { type Self, say } from './state.ts'

// What the layer's health means for where it stands.

export function takeHealth(m: Self, now: Millis, state: Health, reason: string): void {
  m.health = { state, reason }
  if (m.stage.at === 'verifying') {
    if (state === 'passing' && m.stage.healthySince === null) {
      m.stage = { ...m.stage, healthySince: now }
      say(m, 'verifying', staysHealthy(now, m.stage.intent))
    }
    if (state !== 'passing') {
      if (m.stage.healthySince !== null) m.stage = { ...m.stage, healthySince: null, confirm: 'not-yet' }
      say(m, 'verifying', reason)
    }
    judge(m, now)
  } else if (m.stage.at === 'recovering') recover(m, now)
  else tellUnwell(m)
}

/** Replaced in the generation that is under way, and not well any more: the ledger counts it as failed. */
export function tellUnwell(m: Self): void {
  if (m.stage.at !== 'idle' || m.ledger === null || m.plan === undefined || m.plan.id !== m.ledger.plan) return
  if (m.health.state !== 'failing' || m.plan.body.layer !== m.layer || m.current !== m.plan.body.image) return
  const index = m.plan.body.roster.indexOf(m.node)
  const phase = m.ledger.phase === 'paused' ? m.ledger.resumeTo : m.ledger.phase
  if (phase !== 'canary' && phase !== 'rolling' && phase !== 'soaking') return
  if (index < 0 || !hasBit(m.ledger.ok, index) || hasBit(m.ledger.failed, index)) return
  m.effects.push({ type: 'unwell', generation: m.ledger.generation, reason: m.health.reason })
}
