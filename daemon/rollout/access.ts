import type { Action, LedgerValue, Refusal } from '../../rollout/index.ts'

/** What became of a proposal: written, refused by the rules (with the value that they were read against), or not decided. */
export type Proposal =
  | { readonly type: 'committed'; readonly value: LedgerValue }
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly value: LedgerValue }
  | { readonly type: 'no-quorum'; readonly reason: string }

/** A group's ledger as this node reaches it: through a majority of its voters, wherever they are. */
export interface LedgerAccess {
  propose(action: Action, signal: AbortSignal): Promise<Proposal>
  /** By quorum; null when too few voters answer. */
  read(signal: AbortSignal): Promise<LedgerValue | null>
}
