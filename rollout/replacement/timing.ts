import { type Millis, millis } from '../../protocol/index.ts'
import { ask, askReady } from './approach.ts'
import { drain, reread } from './disruption.ts'
import { judge, recover } from './proof.ts'
import { proposeRelease } from './release.ts'
import { type Self, save } from './state.ts'

// When the machine wants to be woken, and what it does then.

/** Does what is due by now. */
export function due(m: Self, now: Millis): void {
  if (m.saving !== null) {
    if (m.saving.again !== null && now >= m.saving.again) save(m, m.saving.intent)
    return
  }
  const at = m.stage
  if (at.at === 'idle' || at.at === 'binding') return
  if (at.at === 'verifying') return judge(m, now)
  if (at.at === 'recovering') return recover(m, now)
  if (at.again === null || now < at.again) return
  switch (at.at) {
    case 'staging':
      m.stage = { ...at, again: null }
      m.effects.push({ type: 'stage', image: at.wanted.image })
      return
    case 'readying':
      return askReady(m, at.wanted)
    case 'asking':
      return ask(m, now)
    case 'draining':
      return drain(m, at.intent)
    case 'rereading':
      return reread(m, now, at.intent)
    case 'flipping':
      return reread(m, now, at.intent)
    case 'reverting':
      m.stage = { ...at, again: null }
      m.effects.push({ type: 'flip', image: at.intent.from!, actBy: null })
      return
    case 'undraining':
      m.stage = { ...at, again: null }
      m.effects.push({ type: 'undrain' })
      return
    case 'releasing':
      m.stage = { ...at, again: null }
      return proposeRelease(m, at.intent)
    case 'resuming':
      m.stage = { ...at, again: null }
      m.effects.push({ type: 'reread', asked: now })
      return
    case 'installing':
      m.stage = { ...at, again: null }
      m.effects.push({ type: 'stage', image: at.image })
      return
    default:
      return at satisfies never
  }
}

/** When there is something to do next; null: when something comes in. */
export function wake(m: Self, now: Millis): Millis | null {
  if (m.saving !== null) return m.saving.again
  switch (m.stage.at) {
    case 'idle':
    case 'binding':
      return null
    case 'verifying': {
      const times = [m.stage.flippedAt + m.stage.intent.deadline]
      if (m.stage.healthySince !== null) times.push(m.stage.healthySince + m.stage.intent.minHealthy)
      if (typeof m.stage.confirm === 'number') times.push(m.stage.confirm)
      const ahead = times.filter(at => at > now)
      return ahead.length === 0 ? null : millis(Math.min(...ahead))
    }
    case 'recovering':
      return millis(m.stage.since + m.stage.intent.deadline)
    default:
      return m.stage.again
  }
}
