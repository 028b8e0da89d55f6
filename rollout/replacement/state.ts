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
} from '../../protocol/index.ts'
import type { LedgerValue, Permit } from '../ledger/value.ts'
import type { Wanted } from './target.ts'
import type { Conditions, Effect, Intent, Mark, ReleaseIntent, ReplaceIntent } from './types.ts'

/** How long to wait before the `ready` or `drain` hook or the flip that was busy, or peers that did not confirm, are asked again. */
export const ASK_AGAIN = { busy: 10_000, confirm: 1_000 }
/** Backoff of a step that failed: doubling from the first to the last. */
const RETRY = { first: 500, last: 15_000 }

/** Where a layer stands on its way. */
export type Stage =
  | { readonly at: 'idle' }
  | { readonly at: 'staging'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'readying'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'asking'; readonly wanted: Wanted; readonly again: Millis | null }
  | { readonly at: 'binding'; readonly intent: ReplaceIntent }
  | { readonly at: 'draining'; readonly intent: ReplaceIntent; readonly again: Millis | null }
  | { readonly at: 'rereading'; readonly intent: ReplaceIntent; readonly since: Millis; readonly again: Millis | null }
  /** `before`: how it was with the old image, which is how it is when the flip is not begun. */
  | {
      readonly at: 'flipping'
      readonly intent: ReplaceIntent
      readonly before: Self['health']
      readonly again: Millis | null
    }
  | {
      readonly at: 'verifying'
      readonly intent: ReplaceIntent
      readonly flippedAt: Millis
      readonly healthySince: Millis | null
      readonly confirm: 'not-yet' | 'asked' | Millis
    }
  | { readonly at: 'reverting'; readonly intent: ReplaceIntent; readonly again: Millis | null }
  /** Back on the image before, or never gone from it: the permit goes back when the node is well. */
  | {
      readonly at: 'recovering'
      readonly intent: ReplaceIntent
      readonly since: Millis
      readonly outcome: 'rolledback' | 'skipped'
      readonly reason: string
    }
  /** It was drained and does not go down after all. */
  | {
      readonly at: 'undraining'
      readonly intent: ReplaceIntent
      readonly reason: string
      readonly again: Millis | null
    }
  | { readonly at: 'releasing'; readonly intent: ReleaseIntent; readonly again: Millis | null }
  /** After a restart with an intent on disk: the register says whether the permit is still ours. */
  | { readonly at: 'resuming'; readonly intent: Intent; readonly again: Millis | null }
  /** A node with an empty slot is in nobody's service: it takes the group's image with no permit. */
  | { readonly at: 'installing'; readonly image: Digest; readonly again: Millis | null }

/** All that one replacement machine knows. Its parts change it in place; nothing of it leaves the machine but by effects. */
export interface Self {
  readonly node: NodeId
  readonly layer: string
  readonly random: Random
  stage: Stage
  current: Digest | null
  ledger: LedgerValue | null
  plan: Statement<Plan> | undefined
  mark: Mark | null
  /** Of the image that was staged last. */
  conditions: Conditions
  /** What the other layers of the host run. */
  beside: Readonly<Record<string, Digest | null>>
  health: { state: Health; reason: string }
  /** The intent that is not on disk yet: until it is, nothing else moves. `again`: when to try once more after the disk refused. */
  saving: { intent: Intent; again: Millis | null } | null
  failures: number
  flipFailures: number
  waitingFor: string
  announced: string | null
  effects: Effect[]
}

export function say(m: Self, state: LayerState, reason: string): void {
  m.waitingFor = reason
  const key = `${state} ${reason}`
  if (m.announced === key) return
  m.announced = key
  m.effects.push({ type: 'state', state, reason })
}

export function rest(m: Self): void {
  m.stage = { at: 'idle' }
  m.failures = 0
}

export function backoff(m: Self, now: Millis): Millis {
  const wait = Math.min(RETRY.last, RETRY.first * 2 ** Math.min(m.failures, 10))
  m.failures += 1
  return millis(now + wait / 2 + m.random.int(Math.ceil(wait / 2) + 1))
}

export function save(m: Self, intent: Intent): void {
  m.saving = { intent, again: null }
  m.effects.push({ type: 'persist-intent', intent })
}

/** Whether a node in this stage is in service, or was not before, and is bound to nothing. */
export const holdsNothing = (at: Stage['at']): boolean =>
  at === 'idle' || at === 'staging' || at === 'readying' || at === 'asking' || at === 'installing'

/** The permit that this intent is under, if the register has it. */
export const held = (m: Self, value: LedgerValue, intent: Intent): Permit | undefined =>
  value.permits.find(permit => permit.node === m.node && permit.token === intent.token)
