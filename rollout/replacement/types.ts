import type { Digest, Health, LayerState, Millis, Plan, Statement } from '../../protocol/index.ts'
import type { LedgerValue, Permit, PermitKind, Refusal } from '../ledger/value.ts'

/**
 * What a node has bound itself to, on disk before it acts on it: a daemon that is killed in the middle of its own
 * replacement reads it at the next start and goes on under the same permit.
 */
export type Intent = ReplaceIntent | ReleaseIntent

export interface ReplaceIntent {
  readonly act: 'replace'
  readonly plan: Digest
  readonly token: number
  readonly kind: PermitKind
  readonly from: Digest | null
  readonly to: Digest
  /** How long `to` must stay healthy, and within what time of the flip, by the plan of the permit: another plan may have begun before it is judged. Milliseconds. */
  readonly minHealthy: number
  readonly deadline: number
  /** Set once the new image failed: from here on the way leads back to `from`. */
  readonly failure: string | null
  /** `to` is a barrier on the way to the plan's image: what follows needs a permit of its own. */
  readonly passing?: true
  /** There is no way back past `to`: a node that fails with it stays on it. */
  readonly oneWay?: true
}

/** What an image says of itself that matters on the way to it (see the manifest). */
export interface Conditions {
  /** Other layers of the host and the images that they have to run before this one is. */
  readonly requires: Readonly<Record<string, Digest>>
  readonly reversible: boolean
}

/**
 * The permit is on its way back. On disk before the release is proposed: a proposal that nobody answered may still be
 * completed by another proposer at any later time, so nothing may ever be done again under its token, not in a later life either.
 */
export interface ReleaseIntent {
  readonly act: 'release'
  readonly token: number
  readonly outcome: Outcome
  readonly reason: string
}

/** Why what this node runs is not what its image says, or not for much longer: it is to be put in place afresh. */
export interface Mark {
  readonly reason: string
  /** False for a hotfix whose time is not over: a rollout replaces it like any other, and nobody asks for one. */
  readonly due: boolean
}

/** See the ledger's action `release`. `passed`: a barrier was reached, and the plan's image is still ahead: to the ledger, `skipped`. */
export type Outcome = 'ok' | 'rolledback' | 'skipped' | 'passed'

/**
 * Why a flip came to nothing. `late`: it was not begun, because `actBy` had passed. `busy`: to be asked again later. `refused`: the image is no use
 * here, and there is no point in trying it again.
 */
export type FlipFailure = 'late' | 'busy' | 'failed' | 'refused'

export type Input =
  | { readonly type: 'wake' }
  /** The ledger as last heard of, with the plan that it names when we have it. A hint: it starts things, and never grants. */
  | { readonly type: 'ledger'; readonly value: LedgerValue; readonly plan: Statement<Plan> | undefined }
  /** The slot that runs is marked, or, null, not any more. */
  | { readonly type: 'marked'; readonly mark: Mark | null }
  | { readonly type: 'staged'; readonly image: Digest; readonly conditions?: Conditions }
  /** What the other layers of this host run. */
  | { readonly type: 'beside'; readonly layers: Readonly<Record<string, Digest | null>> }
  | { readonly type: 'stage-failed'; readonly image: Digest; readonly reason: string }
  /** The `ready` hook's word. `busy`: ask again later (exit 75). */
  | { readonly type: 'ready'; readonly answer: 'ok' | 'busy' | 'failed'; readonly reason: string }
  | { readonly type: 'granted'; readonly permit: Permit }
  | { readonly type: 'not-granted'; readonly refusal: Refusal | 'no-quorum'; readonly reason: string }
  | { readonly type: 'intent-persisted' }
  /** The disk refused it; the old one is still there. */
  | { readonly type: 'intent-not-persisted'; readonly reason: string }
  /** The register holds a permit of this node that no layer knows of: granted right before an earlier life of its daemon ended. */
  | { readonly type: 'forgotten'; readonly permit: Permit }
  | { readonly type: 'drained'; readonly answer: 'ok' | 'busy' | 'failed'; readonly reason: string }
  /** It is in service as before it was drained. */
  | { readonly type: 'undrained' }
  | { readonly type: 'undrain-failed'; readonly reason: string }
  /** What the register says of our permit, read by quorum no earlier than it was asked for. `value` null: no quorum. */
  | { readonly type: 'reread'; readonly asked: Millis; readonly value: LedgerValue | null }
  | { readonly type: 'flipped'; readonly image: Digest }
  | { readonly type: 'flip-failed'; readonly image: Digest; readonly why: FlipFailure; readonly reason: string }
  | { readonly type: 'health'; readonly health: Health; readonly reason: string }
  /** Whether enough peers see this node alive and passing. */
  | { readonly type: 'confirmed'; readonly enough: boolean; readonly reason: string }
  /** The release is committed. */
  | { readonly type: 'released' }
  /** The release is not committed: `gone` when the register no longer holds the permit, otherwise it is to be tried again. */
  | { readonly type: 'not-released'; readonly gone: boolean; readonly reason: string }

export type Effect =
  | { readonly type: 'wakeAt'; readonly at: Millis }
  /** Fetch, verify and unpack into the slot that is not current. Holds nothing; may take as long as it takes. */
  | { readonly type: 'stage'; readonly image: Digest }
  | { readonly type: 'ask-ready'; readonly image: Digest }
  | { readonly type: 'ask-permit'; readonly renew: boolean }
  /** fsync before answering `intent-persisted`; null forgets it, and is not answered. */
  | { readonly type: 'persist-intent'; readonly intent: Intent | null }
  | { readonly type: 'drain'; readonly image: Digest }
  /** `asked` comes back with the answer. */
  | { readonly type: 'reread'; readonly asked: Millis }
  /** It was drained, or partly, and does not go down after all: put it back in service, and say when it is. */
  | { readonly type: 'undrain' }
  /** Make the slot with this image current and run it. Not begun after `actBy`: then the answer is `flip-failed`. */
  | { readonly type: 'flip'; readonly image: Digest; readonly actBy: Millis | null }
  | { readonly type: 'confirm' }
  | {
      readonly type: 'release'
      readonly token: number
      readonly outcome: Exclude<Outcome, 'passed'>
      readonly reason: string
    }
  /** This node already runs what is wanted: say so to the ledger. */
  | { readonly type: 'already'; readonly generation: number; readonly image: Digest }
  /** This node was replaced in this generation and is not well any more: say so to the ledger. Repeated for as long as it does not know. */
  | { readonly type: 'unwell'; readonly generation: number; readonly reason: string }
  /** The layer's state changed, for vitals and the log. */
  | { readonly type: 'state'; readonly state: LayerState; readonly reason: string }
