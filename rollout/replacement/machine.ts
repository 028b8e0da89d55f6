import { type Digest, type Millis, millis, type NodeId, type Random } from '../../protocol/index.ts'
import type { Permit } from '../ledger/value.ts'
import { askReady, bind, consider, install, orient } from './approach.ts'
import { drain, putBack, reread, takeReread } from './disruption.ts'
import { takeHealth, tellUnwell } from './health.ts'
import { beginRecovery, judge, recover, revert, succeed, verify } from './proof.ts'
import { proposeRelease, release, unbind } from './release.ts'
import { takeUp } from './resume.ts'
import { ASK_AGAIN, backoff, holdsNothing, rest, type Self, type Stage, say } from './state.ts'
import { due, wake } from './timing.ts'
import type { Conditions, Effect, Input, Intent, Mark } from './types.ts'

/** What an image asks for that asks for nothing. */
const NONE: Conditions = { requires: {}, reversible: true }

/** After this many flips that failed it goes back. */
const FLIP_ATTEMPTS = 5

export interface ReplacementInit {
  readonly node: NodeId
  readonly layer: string
  /** What the current slot holds at start. */
  readonly current: Digest | null
  /** What was on disk at start. */
  readonly intent: Intent | null
  /** Of the slot that runs, at start. */
  readonly mark?: Mark | null
  readonly random: Random
}

export interface Replacement {
  /** Takes one input at time `now` and returns what is to be done, in order. */
  step(now: Millis, input: Input): Effect[]
  /** For `explain` and tests. */
  view(): {
    readonly stage: Stage['at']
    readonly current: Digest | null
    readonly wanted: Digest | null
    readonly token: number | null
    readonly waitingFor: string
  }
}

/**
 * One layer of one node on its way from one image to the next (DESIGN §7):
 *
 *   fetch, verify and unpack -> `ready` hook -> permit -> intent on disk -> drain -> re-read the permit by quorum ->
 *   flip -> healthy for `minHealthy` and confirmed by peers -> release `ok`
 *
 * Not healthy by the deadline: flip back under the same permit, release `rolledback`. Nothing that takes the node
 * down happens outside a permit that the register holds, and the intent is on disk for exactly as long as that may be so.
 * Whoever has once asked for a permit to be taken back does nothing under it any more (`ReleaseIntent`).
 */
export function createReplacement(init: ReplacementInit): Replacement {
  const m: Self = {
    node: init.node,
    layer: init.layer,
    random: init.random,
    stage: init.intent === null ? { at: 'idle' } : { at: 'resuming', intent: init.intent, again: null },
    current: init.current,
    ledger: null,
    plan: undefined,
    mark: init.mark ?? null,
    conditions: NONE,
    beside: {},
    health: { state: 'unknown', reason: 'no check has run yet' },
    saving: null,
    failures: 0,
    flipFailures: 0,
    waitingFor: 'no plan is under way',
    announced: null,
    effects: [],
  }
  return {
    step(now, input) {
      m.effects = []
      take(m, now, input)
      const at = wake(m, now)
      if (at !== null) m.effects.push({ type: 'wakeAt', at })
      return m.effects
    },
    view: () => {
      const { stage, current, waitingFor } = m
      return {
        stage: stage.at,
        current,
        wanted:
          'wanted' in stage
            ? stage.wanted.image
            : 'intent' in stage && stage.intent.act === 'replace'
              ? stage.intent.to
              : stage.at === 'installing'
                ? stage.image
                : null,
        token: 'intent' in stage ? stage.intent.token : null,
        waitingFor,
      }
    },
  }
}

/** A permit that a recovery gave to this node in case it was out of service. */
function giveBack(m: Self, permit: Permit): void {
  if (holdsNothing(m.stage.at)) release(m, permit, 'skipped', 'it is in service after the recovery of its ledger')
}

function take(m: Self, now: Millis, input: Input): void {
  switch (input.type) {
    case 'wake':
      return due(m, now)
    case 'ledger':
      m.ledger = input.value
      m.plan = input.plan
      if (m.stage.at === 'resuming' && m.stage.again === null) {
        m.stage = { ...m.stage, again: now }
        return due(m, now)
      }
      if (
        m.stage.at === 'idle' ||
        m.stage.at === 'staging' ||
        m.stage.at === 'readying' ||
        m.stage.at === 'asking' ||
        m.stage.at === 'installing'
      ) {
        orient(m, now)
        return tellUnwell(m)
      }
      return judge(m, now)
    case 'marked':
      m.mark = input.mark
      if (m.stage.at === 'idle' || m.stage.at === 'staging' || m.stage.at === 'readying' || m.stage.at === 'asking')
        orient(m, now)
      return
    case 'staged':
      m.conditions = input.conditions ?? NONE
      if (m.stage.at === 'staging' && m.stage.wanted.image === input.image) return askReady(m, m.stage.wanted)
      if (m.stage.at === 'installing' && m.stage.image === input.image) return install(m, now, input.image)
      return
    case 'beside':
      m.beside = input.layers
      if (m.stage.at === 'asking') consider(m, now, m.stage.wanted)
      if (m.stage.at === 'installing' && m.stage.again !== null) m.stage = { ...m.stage, again: now }
      return
    case 'stage-failed':
      if (
        (m.stage.at === 'installing' && m.stage.image === input.image) ||
        (m.stage.at === 'staging' && m.stage.wanted.image === input.image)
      ) {
        m.stage = { ...m.stage, again: backoff(m, now) }
        say(m, 'fetching', input.reason)
      }
      return
    case 'ready':
      if (m.stage.at !== 'readying') return
      if (input.answer === 'ok') {
        const { wanted } = m.stage
        m.stage = { at: 'asking', wanted, again: null }
        return consider(m, now, wanted)
      }
      m.stage = { ...m.stage, again: input.answer === 'busy' ? millis(now + ASK_AGAIN.busy) : backoff(m, now) }
      say(
        m,
        'staged',
        input.answer === 'busy' ? `the ready hook is busy: ${input.reason}` : `the ready hook failed: ${input.reason}`,
      )
      return
    case 'granted':
      // One that a recovery gave to everybody is for nothing but to be given back.
      if (input.permit.kind === 'recover') return giveBack(m, input.permit)
      if (m.stage.at === 'asking') return bind(m, input.permit, m.stage.wanted)
      return
    case 'not-granted':
      if (m.stage.at !== 'asking') return
      m.stage = {
        ...m.stage,
        again: input.refusal === 'no-quorum' ? backoff(m, now) : millis(now + 1_000 + m.random.int(2_000)),
      }
      say(m, 'waiting', input.reason)
      return
    case 'intent-persisted':
      m.saving = null
      m.failures = 0
      if (m.stage.at === 'binding') return drain(m, m.stage.intent)
      if (m.stage.at === 'reverting') m.effects.push({ type: 'flip', image: m.stage.intent.from!, actBy: null })
      if (m.stage.at === 'releasing') proposeRelease(m, m.stage.intent)
      return
    case 'intent-not-persisted':
      if (m.saving === null) return
      m.saving = { ...m.saving, again: backoff(m, now) }
      m.waitingFor = `cannot go on with permit ${m.saving.intent.token}: ${input.reason}`
      return
    case 'forgotten':
      if (input.permit.kind === 'recover') return giveBack(m, input.permit)
      if (m.stage.at === 'idle') release(m, input.permit, 'skipped', 'the daemon was restarted before it acted on it')
      return
    case 'drained':
      if (m.stage.at !== 'draining') return
      if (input.answer === 'ok') return reread(m, now, m.stage.intent)
      if (input.answer === 'busy') {
        m.stage = { ...m.stage, again: millis(now + ASK_AGAIN.busy) }
        say(m, 'draining', `the drain hook is busy: ${input.reason}`)
        return
      }
      return putBack(m, m.stage.intent, `the drain hook failed: ${input.reason}`)
    case 'undrained':
      if (m.stage.at !== 'undraining') return
      m.stage = { ...m.stage, at: 'recovering', since: now, outcome: 'skipped' }
      return recover(m, now)
    case 'undrain-failed':
      if (m.stage.at !== 'undraining') return
      m.stage = { ...m.stage, again: backoff(m, now) }
      say(m, 'draining', `cannot go back into service: ${input.reason}`)
      return
    case 'reread':
      if (m.stage.at === 'resuming') return takeUp(m, now, m.stage.intent, input.value)
      return takeReread(m, now, input.asked, input.value)
    case 'flipped':
      m.current = input.image
      if (m.stage.at === 'flipping') return verify(m, now, m.stage.intent)
      if (m.stage.at === 'reverting') return beginRecovery(m, now, m.stage.intent)
      if (m.stage.at === 'installing') {
        rest(m)
        orient(m, now)
      }
      return
    case 'flip-failed':
      if (m.stage.at === 'flipping') {
        // Not begun: the old image runs on as it was.
        if (input.why === 'late' || input.why === 'busy') m.health = m.stage.before
        if (input.why === 'late') return reread(m, now, m.stage.intent)
        if (input.why === 'failed') m.flipFailures += 1
        if (input.why === 'refused' || m.flipFailures >= FLIP_ATTEMPTS) return revert(m, m.stage.intent, input.reason)
        m.stage = { ...m.stage, again: input.why === 'busy' ? millis(now + ASK_AGAIN.busy) : backoff(m, now) }
        say(m, 'starting', input.reason)
      } else if (m.stage.at === 'reverting' || m.stage.at === 'installing') {
        m.stage = { ...m.stage, again: backoff(m, now) }
        say(m, m.stage.at === 'reverting' ? 'reverting' : 'starting', input.reason)
      }
      return
    case 'health':
      return takeHealth(m, now, input.health, input.reason)
    case 'confirmed':
      if (m.stage.at !== 'verifying' || m.stage.confirm !== 'asked') return
      if (input.enough) return succeed(m, m.stage.intent)
      m.stage = { ...m.stage, confirm: millis(now + ASK_AGAIN.confirm) }
      say(m, 'verifying', input.reason)
      return judge(m, now)
    case 'released':
      if (m.stage.at === 'releasing') return unbind(m, now)
      return
    case 'not-released':
      if (m.stage.at !== 'releasing') return
      if (input.gone) return unbind(m, now)
      m.stage = { ...m.stage, again: backoff(m, now) }
      m.waitingFor = `cannot give back permit ${m.stage.intent.token}: ${input.reason}`
      return
    default:
      return input satisfies never
  }
}
