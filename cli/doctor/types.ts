import type { Checkup, Info, LedgerView, MemberView, RolloutStatusView } from '../../protocol/api/index.ts'

/** All that the doctor knows: what the daemon told when it was asked. */
export interface Facts {
  /** fleetctl's own version. */
  readonly fleetctl: string
  readonly info: Info
  /** What the daemon found out about its host and the way to others. */
  readonly checkup: Checkup
  /** Empty while the daemon belongs to no fleet, like all that follows. */
  readonly members: readonly MemberView[]
  readonly rollouts: readonly RolloutStatusView[]
  readonly ledgers: readonly LedgerFact[]
}

/** A group's ledger as it was read from a majority of its voters, or why it could not be. */
export type LedgerFact =
  | { readonly group: string; readonly ledger: LedgerView }
  | { readonly group: string; readonly ledger: null; readonly error: string }

/** Something that is wrong, and how to mend it. */
export interface Finding {
  /** `problem`: something does not work, or will not when it is needed. `warning`: it works, and somebody should look. */
  readonly severity: 'problem' | 'warning'
  /** One sentence, with what it comes from. */
  readonly what: string
  /** One sentence. */
  readonly mend: string
  /** The host on which `run` is to be run, by name. */
  readonly on: string
  /** A command line. */
  readonly run: string
}

/** One thing that is looked at. */
export interface Check {
  readonly name: string
  /** None: all is well with it. */
  readonly look: (facts: Facts) => readonly Finding[]
  /** What to say when all is well. */
  readonly good: (facts: Facts) => string
}

/** Names for a sentence: the first of them, and how many more there are. */
export function names(all: readonly string[], most = 5): string {
  const rest = all.length - most
  return rest > 0 ? `${all.slice(0, most).join(', ')} and ${rest} more` : all.join(', ')
}

export const isAre = (count: number): 'is' | 'are' => (count === 1 ? 'is' : 'are')
