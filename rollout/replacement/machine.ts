import {
  type Digest,
  type Health,
  type LayerState,
  type Millis,
  millis,
  type NodeId,
  type Plan,
  type Random,
  type Statement,
  windowsAt,
} from '../../protocol/index.ts'
import { hasBit } from '../ledger/bits.ts'
import { hasFailed } from '../ledger/stages.ts'
import type { LedgerValue, Permit } from '../ledger/value.ts'
import { next, type Wanted } from './target.ts'
import type { Effect, Input, Intent, Mark, Outcome, ReleaseIntent, ReplaceIntent } from './types.ts'

/** A re-read of the permit is good for this long: the flip begins within it or the register is asked again. */
export const ACT_WITHIN = millis(5_000)
/** How long to wait before the `ready` or `drain` hook that was busy, or peers that did not confirm, are asked again. */
const ASK_AGAIN = { busy: 10_000, confirm: 1_000 }
/** Backoff of a step that failed: doubling from the first to the last. */
const RETRY = { first: 500, last: 15_000 }
/** After this many flips that failed it goes back. */
const FLIP_ATTEMPTS = 5
/** A node whose turn is near asks at once, the others after this: they would only get a refusal. */
const OUT_OF_TURN = 2_000

type Stage =
  | { readonly at: 'idle' }
  | { readonly at: 'staging'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'readying'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'asking'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'binding'; readonly intent: ReplaceIntent }
  | { readonly at: 'draining'; readonly intent: ReplaceIntent; readonly again: Millis | null }
  | { readonly at: 'rereading'; readonly intent: ReplaceIntent; readonly since: Millis; readonly again: Millis | null }
  | { readonly at: 'flipping'; readonly intent: ReplaceIntent; readonly again: Millis | null }
  | {
      readonly at: 'verifying'
      readonly intent: ReplaceIntent
      readonly flippedAt: Millis
      readonly healthySince: Millis | null
      readonly confirm: 'not-yet' | 'asked' | Millis
    }
  | { readonly at: 'reverting'; readonly intent: ReplaceIntent; readonly again: Millis | null }
  | { readonly at: 'recovering'; readonly intent: ReplaceIntent; readonly since: Millis }
  | { readonly at: 'releasing'; readonly intent: ReleaseIntent; readonly again: Millis | null }
  /** After a restart with an intent on disk: the register says whether the permit is still ours. */
  | { readonly at: 'resuming'; readonly intent: Intent; readonly again: Millis | null }
  /** A node with an empty slot is in nobody's service: it takes the group's image with no permit. */
  | { readonly at: 'installing'; readonly image: Digest; readonly again: Millis | null }

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
  const { node, layer, random } = init
  let stage: Stage = init.intent === null ? { at: 'idle' } : { at: 'resuming', intent: init.intent, again: null }
  let current = init.current
  let ledger: LedgerValue | null = null
  let plan: Statement<Plan> | undefined
  let mark: Mark | null = init.mark ?? null
  let health: { state: Health; reason: string } = { state: 'unknown', reason: 'no check has run yet' }
  /** The intent that is not on disk yet: until it is, nothing else moves. `again`: when to try once more after the disk refused. */
  let saving: { intent: Intent; again: Millis | null } | null = null
  let failures = 0
  let flipFailures = 0
  let waitingFor = 'no plan is under way'
  let announced: string | null = null
  let effects: Effect[] = []

  const say = (state: LayerState, reason: string): void => {
    waitingFor = reason
    const key = `${state} ${reason}`
    if (announced === key) return
    announced = key
    effects.push({ type: 'state', state, reason })
  }
  const rest = (): void => {
    stage = { at: 'idle' }
    failures = 0
  }
  const backoff = (now: Millis): Millis => {
    const wait = Math.min(RETRY.last, RETRY.first * 2 ** Math.min(failures, 10))
    failures += 1
    return millis(now + wait / 2 + random.int(Math.ceil(wait / 2) + 1))
  }
  const save = (intent: Intent): void => {
    saving = { intent, again: null }
    effects.push({ type: 'persist-intent', intent })
  }
  const held = (value: LedgerValue, intent: Intent): Permit | undefined =>
    value.permits.find(permit => permit.node === node && permit.token === intent.token)

  // ---- the way there ----

  /** Looks at the ledger and takes up what it wants of this node; only while nothing is bound. */
  const orient = (now: Millis): void => {
    if (ledger === null) return
    const move = next({ now, node, layer, current, value: ledger, plan, mark })
    switch (move.type) {
      case 'nothing':
        rest()
        say(current === null ? 'empty' : 'running', move.reason)
        return
      case 'already':
        rest()
        effects.push({ type: 'already', generation: ledger.generation, image: current! })
        say('running', 'it runs the wanted image already')
        return
      case 'install':
        if (stage.at === 'installing' && stage.image === move.image) return
        stage = { at: 'installing', image: move.image, again: null }
        effects.push({ type: 'stage', image: move.image })
        say('fetching', 'its slot is empty: it takes the image that its group runs')
        return
      case 'replace': {
        const { wanted } = move
        if (
          (stage.at === 'staging' || stage.at === 'readying' || stage.at === 'asking') &&
          stage.wanted.image === wanted.image &&
          stage.wanted.plan === wanted.plan
        ) {
          stage = { ...stage, wanted }
          if (stage.at === 'asking') consider(now, wanted)
          return
        }
        failures = 0
        stage = { at: 'staging', wanted, again: null }
        effects.push({ type: 'stage', image: wanted.image })
        say('fetching', `fetching ${wanted.version} from peers`)
      }
    }
  }

  /** A window opens for all at once: they come one after another. */
  const soonAfter = (opens: Millis): Millis => millis(opens + random.int(OUT_OF_TURN))

  /** Asks for a permit when there may be one, so that a thousand waiting nodes do not all write to the register. */
  const consider = (now: Millis, wanted: Wanted): void => {
    if (stage.at !== 'asking') return
    if (!wanted.open) {
      stage = { ...stage, again: wanted.opens === null ? null : soonAfter(wanted.opens) }
      say('waiting', wanted.waitingFor)
      return
    }
    const wait = wanted.near ? random.int(50 + 1) : OUT_OF_TURN + random.int(OUT_OF_TURN)
    const at = millis(now + wait)
    if (stage.again === null || at < stage.again) stage = { ...stage, again: at }
    say('waiting', wanted.waitingFor)
  }

  /** Its wait is over: what was known when it began may not be so any more. */
  const ask = (now: Millis): void => {
    if (stage.at !== 'asking' || ledger === null) return
    stage = { ...stage, again: null }
    const move = next({ now, node, layer, current, value: ledger, plan, mark })
    if (move.type !== 'replace' || !move.wanted.open || move.wanted.plan !== stage.wanted.plan) return orient(now)
    effects.push({ type: 'ask-permit', renew: move.wanted.kind === 'renew' })
  }

  const askReady = (wanted: Wanted): void => {
    stage = { at: 'readying', wanted, again: null }
    effects.push({ type: 'ask-ready', image: wanted.image })
    say('staged', 'asking the ready hook')
  }

  const bind = (permit: Permit, wanted: Wanted): void => {
    failures = 0
    flipFailures = 0
    const intent: ReplaceIntent = {
      act: 'replace',
      plan: wanted.plan,
      token: permit.token,
      kind: permit.kind,
      from: current,
      to: wanted.image,
      minHealthy: wanted.minHealthy,
      deadline: wanted.deadline,
      failure: null,
    }
    stage = { at: 'binding', intent }
    save(intent)
    say('waiting', `holds permit ${permit.token}`)
  }

  const drain = (intent: ReplaceIntent): void => {
    stage = { at: 'draining', intent, again: null }
    effects.push({ type: 'drain', image: intent.to })
    say('draining', `draining under permit ${intent.token}`)
  }

  const reread = (now: Millis, intent: ReplaceIntent): void => {
    stage = { at: 'rereading', intent, since: now, again: null }
    effects.push({ type: 'reread' })
  }

  const flip = (intent: ReplaceIntent, actBy: Millis): void => {
    stage = { at: 'flipping', intent, again: null }
    health = { state: 'unknown', reason: 'no check has run since the flip' }
    effects.push({ type: 'flip', image: intent.to, actBy })
    say('starting', `starting the new image under permit ${intent.token}`)
  }

  const verify = (now: Millis, intent: ReplaceIntent): void => {
    failures = 0
    stage = {
      at: 'verifying',
      intent,
      flippedAt: now,
      healthySince: health.state === 'passing' ? now : null,
      confirm: 'not-yet',
    }
    say('verifying', `waiting for the new image to be healthy: ${health.reason}`)
    judge(now)
  }

  /** Verifying: has it been healthy for long enough, or is its time over? */
  const judge = (now: Millis): void => {
    if (stage.at !== 'verifying') return
    const { intent, flippedAt, healthySince, confirm } = stage
    if (ledger?.plan === intent.plan && ledger.phase === 'reversing' && intent.kind === 'replace')
      return revert(intent, 'the rollout is being undone')
    if (now - flippedAt >= intent.deadline) {
      if (intent.kind === 'replace')
        return revert(intent, `not healthy within ${intent.deadline / 1000} s: ${health.reason}`)
      // Going back is the last resort, and so is its own image afresh: there is nothing further back. The permit is kept until the node is healthy.
    }
    if (healthySince === null || now - healthySince < intent.minHealthy) return
    if (confirm === 'not-yet' || (confirm !== 'asked' && now >= confirm)) {
      stage = { ...stage, confirm: 'asked' }
      effects.push({ type: 'confirm' })
      say('verifying', 'healthy; waiting for peers to confirm it')
    }
  }

  const revert = (intent: ReplaceIntent, failure: string): void => {
    failures = 0
    const failed: ReplaceIntent = { ...intent, failure }
    if (failed.from === null || failed.from === failed.to) return release(failed, 'rolledback', failure)
    stage = { at: 'reverting', intent: failed, again: null }
    health = { state: 'unknown', reason: 'no check has run since the flip back' }
    save(failed)
    say('reverting', failure)
  }

  /** Flipped back: the permit goes back when the old image is healthy, at the latest after the deadline. */
  const recover = (now: Millis): void => {
    if (stage.at !== 'recovering') return
    if (health.state === 'passing' || now - stage.since >= stage.intent.deadline)
      release(stage.intent, 'rolledback', stage.intent.failure ?? 'it was flipped back')
  }

  const release = ({ token }: { token: number }, outcome: Outcome, reason: string): void => {
    const intent: ReleaseIntent = { act: 'release', token, outcome, reason }
    stage = { at: 'releasing', intent, again: null }
    save(intent)
    say(outcome === 'rolledback' ? 'failed' : 'verifying', outcome === 'ok' ? `giving back permit ${token}` : reason)
  }

  const proposeRelease = ({ token, outcome, reason }: ReleaseIntent): void => {
    effects.push({ type: 'release', token, outcome, reason })
  }

  const unbind = (now: Millis): void => {
    effects.push({ type: 'persist-intent', intent: null })
    rest()
    orient(now)
  }

  /** The register has been read after a restart. */
  const resume = (now: Millis, intent: Intent, value: LedgerValue): void => {
    if (held(value, intent) === undefined) {
      // It may have been drained when the daemon was killed.
      if (intent.act === 'replace' && current === intent.from) effects.push({ type: 'undrain' })
      return unbind(now)
    }
    if (intent.act === 'release') {
      if (intent.outcome === 'skipped') effects.push({ type: 'undrain' })
      stage = { at: 'releasing', intent, again: null }
      return proposeRelease(intent)
    }
    if (intent.failure !== null)
      return current === intent.from ? beginRecovery(now, intent) : revert(intent, intent.failure)
    // What a renewal puts in place has the same name; only that the slot is not marked any more shows that it was done.
    if (current === intent.to && !(intent.from === intent.to && mark !== null)) return verify(now, intent)
    drain(intent)
  }

  const beginRecovery = (now: Millis, intent: ReplaceIntent): void => {
    stage = { at: 'recovering', intent, since: now }
    say('reverting', `back on the image before: ${intent.failure ?? 'it was flipped back'}`)
    recover(now)
  }

  const due = (now: Millis): void => {
    if (saving !== null) {
      if (saving.again !== null && now >= saving.again) save(saving.intent)
      return
    }
    const at = stage
    if (at.at === 'idle' || at.at === 'binding') return
    if (at.at === 'verifying') return judge(now)
    if (at.at === 'recovering') return recover(now)
    if (at.again === null || now < at.again) return
    switch (at.at) {
      case 'staging':
        stage = { ...at, again: null }
        effects.push({ type: 'stage', image: at.wanted.image })
        return
      case 'readying':
        return askReady(at.wanted)
      case 'asking':
        return ask(now)
      case 'draining':
        return drain(at.intent)
      case 'rereading':
        return reread(now, at.intent)
      case 'flipping':
        return reread(now, at.intent)
      case 'reverting':
        stage = { ...at, again: null }
        effects.push({ type: 'flip', image: at.intent.from!, actBy: null })
        return
      case 'releasing':
        stage = { ...at, again: null }
        return proposeRelease(at.intent)
      case 'resuming':
        stage = { ...at, again: null }
        effects.push({ type: 'reread' })
        return
      case 'installing':
        stage = { ...at, again: null }
        effects.push({ type: 'stage', image: at.image })
        return
      default:
        return at satisfies never
    }
  }

  const take = (now: Millis, input: Input): void => {
    switch (input.type) {
      case 'wake':
        return due(now)
      case 'ledger':
        ledger = input.value
        plan = input.plan
        if (stage.at === 'resuming' && stage.again === null) {
          stage = { ...stage, again: now }
          return due(now)
        }
        if (
          stage.at === 'idle' ||
          stage.at === 'staging' ||
          stage.at === 'readying' ||
          stage.at === 'asking' ||
          stage.at === 'installing'
        ) {
          orient(now)
          return tellUnwell()
        }
        return judge(now)
      case 'marked':
        mark = input.mark
        if (stage.at === 'idle' || stage.at === 'staging' || stage.at === 'readying' || stage.at === 'asking')
          orient(now)
        return
      case 'staged':
        if (stage.at === 'staging' && stage.wanted.image === input.image) return askReady(stage.wanted)
        if (stage.at === 'installing' && stage.image === input.image)
          effects.push({ type: 'flip', image: input.image, actBy: null })
        return
      case 'stage-failed':
        if (
          (stage.at === 'installing' && stage.image === input.image) ||
          (stage.at === 'staging' && stage.wanted.image === input.image)
        ) {
          stage = { ...stage, again: backoff(now) }
          say('fetching', input.reason)
        }
        return
      case 'ready':
        if (stage.at !== 'readying') return
        if (input.answer === 'ok') {
          const { wanted } = stage
          stage = { at: 'asking', wanted, again: null }
          return consider(now, wanted)
        }
        stage = { ...stage, again: input.answer === 'busy' ? millis(now + ASK_AGAIN.busy) : backoff(now) }
        say(
          'staged',
          input.answer === 'busy'
            ? `the ready hook is busy: ${input.reason}`
            : `the ready hook failed: ${input.reason}`,
        )
        return
      case 'granted':
        if (stage.at === 'asking') return bind(input.permit, stage.wanted)
        return
      case 'not-granted':
        if (stage.at !== 'asking') return
        stage = {
          ...stage,
          again: input.refusal === 'no-quorum' ? backoff(now) : millis(now + 1_000 + random.int(2_000)),
        }
        say('waiting', input.reason)
        return
      case 'intent-persisted':
        saving = null
        failures = 0
        if (stage.at === 'binding') return drain(stage.intent)
        if (stage.at === 'reverting') effects.push({ type: 'flip', image: stage.intent.from!, actBy: null })
        if (stage.at === 'releasing') proposeRelease(stage.intent)
        return
      case 'intent-not-persisted':
        if (saving === null) return
        saving = { ...saving, again: backoff(now) }
        waitingFor = `cannot go on with permit ${saving.intent.token}: ${input.reason}`
        return
      case 'forgotten':
        if (stage.at === 'idle') release(input.permit, 'skipped', 'the daemon was restarted before it acted on it')
        return
      case 'drained':
        if (stage.at !== 'draining') return
        if (input.answer === 'ok') return reread(now, stage.intent)
        if (input.answer === 'busy') {
          stage = { ...stage, again: millis(now + ASK_AGAIN.busy) }
          say('draining', `the drain hook is busy: ${input.reason}`)
          return
        }
        effects.push({ type: 'undrain' })
        return release(stage.intent, 'skipped', `the drain hook failed: ${input.reason}`)
      case 'reread':
        return takeReread(now, input.value)
      case 'flipped':
        current = input.image
        if (stage.at === 'flipping') return verify(now, stage.intent)
        if (stage.at === 'reverting') return beginRecovery(now, stage.intent)
        if (stage.at === 'installing') {
          rest()
          orient(now)
        }
        return
      case 'flip-failed':
        if (stage.at === 'flipping') {
          if (input.late) return reread(now, stage.intent)
          flipFailures += 1
          if (flipFailures >= FLIP_ATTEMPTS) return revert(stage.intent, input.reason)
          stage = { ...stage, again: backoff(now) }
          say('starting', input.reason)
        } else if (stage.at === 'reverting' || stage.at === 'installing') {
          stage = { ...stage, again: backoff(now) }
          say(stage.at === 'reverting' ? 'reverting' : 'starting', input.reason)
        }
        return
      case 'health':
        return takeHealth(now, input.health, input.reason)
      case 'confirmed':
        if (stage.at !== 'verifying' || stage.confirm !== 'asked') return
        if (input.enough) return release(stage.intent, 'ok', 'healthy and confirmed')
        stage = { ...stage, confirm: millis(now + ASK_AGAIN.confirm) }
        say('verifying', input.reason)
        return judge(now)
      case 'released':
        if (stage.at === 'releasing') return unbind(now)
        return
      case 'not-released':
        if (stage.at !== 'releasing') return
        if (input.gone) return unbind(now)
        stage = { ...stage, again: backoff(now) }
        waitingFor = `cannot give back permit ${stage.intent.token}: ${input.reason}`
        return
      default:
        return input satisfies never
    }
  }

  const takeReread = (now: Millis, value: LedgerValue | null): void => {
    if (stage.at === 'resuming') {
      if (value !== null) {
        ledger = value
        failures = 0
        return resume(now, stage.intent, value)
      }
      stage = { ...stage, again: backoff(now) }
      return
    }
    if (stage.at !== 'rereading') return
    const { intent, since } = stage
    if (value === null) {
      stage = { ...stage, again: backoff(now) }
      say('draining', 'drained, and no quorum of voters answers: it does not go down until the permit is read again')
      return
    }
    ledger = value
    if (held(value, intent) === undefined) {
      effects.push({ type: 'undrain' })
      return unbind(now)
    }
    const over = notAnyMore(now, intent, value)
    if (over !== undefined) {
      effects.push({ type: 'undrain' })
      return release(intent, 'skipped', over)
    }
    if (now - since > ACT_WITHIN) return reread(now, intent)
    flip(intent, millis(since + ACT_WITHIN))
  }

  /** Why what the permit was granted for is not to be done any more: a permit outlives the rollout that it is of, an open window and the plan's time. */
  const notAnyMore = (now: Millis, intent: ReplaceIntent, value: LedgerValue): string | undefined => {
    if (value.plan !== intent.plan) return `generation ${value.generation} has begun before it went down`
    if (value.phase === 'aborted') return 'the rollout was aborted before it went down'
    if (intent.kind !== 'replace') return undefined
    if (value.phase === 'reversing') return 'the rollout is being undone'
    if (plan === undefined || plan.id !== intent.plan) return undefined
    if (hasFailed(value, plan.body)) return 'the rollout has reached its failure limit'
    if (now > plan.body.notAfter) return `plan ${plan.body.generation} expired before it went down`
    return windowsAt(plan.body.windows, now).open ? undefined : 'the maintenance window closed before it went down'
  }

  /** Replaced in the generation that is under way, and not well any more: the ledger counts it as failed. */
  const tellUnwell = (): void => {
    if (stage.at !== 'idle' || ledger === null || plan === undefined || plan.id !== ledger.plan) return
    if (health.state !== 'failing' || plan.body.layer !== layer || current !== plan.body.image) return
    const index = plan.body.roster.indexOf(node)
    const phase = ledger.phase === 'paused' ? ledger.resumeTo : ledger.phase
    if (phase !== 'canary' && phase !== 'rolling' && phase !== 'soaking') return
    if (index < 0 || !hasBit(ledger.ok, index) || hasBit(ledger.failed, index)) return
    effects.push({ type: 'unwell', generation: ledger.generation, reason: health.reason })
  }

  const takeHealth = (now: Millis, state: Health, reason: string): void => {
    health = { state, reason }
    if (stage.at === 'verifying') {
      if (state === 'passing' && stage.healthySince === null) stage = { ...stage, healthySince: now }
      if (state !== 'passing') {
        if (stage.healthySince !== null) stage = { ...stage, healthySince: null, confirm: 'not-yet' }
        say('verifying', reason)
      }
      judge(now)
    } else if (stage.at === 'recovering') recover(now)
    else tellUnwell()
  }

  const wake = (now: Millis): Millis | null => {
    if (saving !== null) return saving.again
    switch (stage.at) {
      case 'idle':
      case 'binding':
        return null
      case 'verifying': {
        const times = [stage.flippedAt + stage.intent.deadline]
        if (stage.healthySince !== null) times.push(stage.healthySince + stage.intent.minHealthy)
        if (typeof stage.confirm === 'number') times.push(stage.confirm)
        const ahead = times.filter(at => at > now)
        return ahead.length === 0 ? null : millis(Math.min(...ahead))
      }
      case 'recovering':
        return millis(stage.since + stage.intent.deadline)
      default:
        return stage.again
    }
  }

  return {
    step(now, input) {
      effects = []
      take(now, input)
      const at = wake(now)
      if (at !== null) effects.push({ type: 'wakeAt', at })
      return effects
    },
    view: () => ({
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
    }),
  }
}
