import type { Digest, Millis, NodeId, Plan, RolloutPhase, Statement } from '../../protocol/index.ts'

/**
 * What a permit is for. A `revert` takes a node back to the image before, a `renew` puts the image that it runs in place afresh, because the node is
 * marked; a `reboot` is of the host as a whole. They need a permit like everything voluntary. `recover` is for nothing: whoever may have been out of service when
 * a ledger was recovered holds one until it is in service.
 */
export type PermitKind = 'replace' | 'revert' | 'renew' | 'reboot' | 'recover'

/** The right to be voluntarily down now. It never expires: a holder that vanished is unavailable, so it keeps counting. */
export interface Permit {
  /** Granted once in the life of the ledger; only grows. */
  readonly token: number
  readonly node: NodeId
  readonly zone: string
  readonly kind: PermitKind
  readonly generation: number
  /** The proposer's wall clock at the grant. For people: no decision hangs on it. */
  readonly since: Millis
  /** Which client on the host holds it, of a `reboot`: nobody else gives it back. */
  readonly holder?: string | undefined
}

/** A member of the group that is believed to be down without a permit, and where it stands. */
export interface Down {
  readonly node: NodeId
  readonly zone: string
}

/** What is remembered of a generation. */
export interface Past {
  readonly generation: number
  readonly plan: Digest
  readonly layer: string
  readonly image: Digest
  /** `name:version`, for people. */
  readonly version: string
  readonly since: Millis
  /** Null while it is the newest: the value itself says how that stands. */
  readonly end: {
    readonly phase: RolloutPhase
    readonly reason: string
    readonly ok: number
    readonly failed: number
    readonly at: Millis
  } | null
}

/** The whole state of a group's ledger: the value of its CASPaxos register. Small: a plan's roster is referred to by digest. */
export interface LedgerValue {
  readonly group: string
  /** Grows by one with every transition: orders what is heard of the ledger by hearsay. */
  readonly version: number
  /** The configuration that `voters` are of. Every epoch is a register of its own, whose first value is the closing value of the one before. */
  readonly epoch: number
  readonly voters: readonly NodeId[]
  /** Set when this epoch is closed: the voters of epoch + 1. A closed value is final in its epoch. */
  readonly successors: readonly NodeId[] | null
  /** The newest plan's generation; 0 before the first. */
  readonly generation: number
  readonly plan: Digest | null
  readonly phase: RolloutPhase
  /** Where `resume` goes back to; null unless paused. */
  readonly resumeTo: 'canary' | 'rolling' | 'soaking' | 'reversing' | null
  /** Which of the plan's stages is under way (see `stagesOf`), from 0. */
  readonly wave: number
  /** While soaking: until when. By the clock of whoever wrote it: a stage may begin early or late by the skew of two clocks, and no more hangs on it. */
  readonly soakUntil: Millis
  /** Why it is in this phase, in a sentence. */
  readonly reason: string
  readonly nextToken: number
  readonly permits: readonly Permit[]
  /** One bit per roster index of the plan. */
  readonly ok: Uint8Array
  readonly failed: Uint8Array
  readonly writtenOff: Uint8Array
  /** What each layer of the group runs: the image of the last generation that was done and not undone. */
  readonly targets: Readonly<Record<string, Digest>>
  /** Images that failed here; not activated again without `force`. */
  readonly denied: readonly Digest[]
  /** Identities that were written off: they get no permit ever again. */
  readonly fenced: readonly NodeId[]
  /** The last generations, oldest first; the one that is under way stands last, without an end. */
  readonly history: readonly Past[]
  /** Wall clock of the last grant, release or phase change, for the progress deadline. */
  readonly progressAt: Millis
}

interface Ordered {
  readonly reason: string
  readonly now: Millis
  /**
   * What was under way when the operator said so. A proposal that nobody answered is made again, and may have been written before: it must not end
   * the next generation, nor promote twice.
   */
  readonly meant?: { readonly generation: number; readonly wave: number } | undefined
}

/** Everything that may happen to a ledger. `apply` alone says what each one does. */
export type Action =
  /** A new plan begins. Refused while another generation is active. */
  | { readonly type: 'start'; readonly plan: Statement<Plan>; readonly now: Millis }
  /** A node asks to be down. `unavailable` are the members of its group that the asker believes to be down already; they count against K. Asking again with the permit in hand gives the same permit. */
  | {
      readonly type: 'grant'
      readonly node: NodeId
      readonly zone: string
      readonly unavailable: readonly Down[]
      /** It is marked (drift, a hotfix whose time is over, its age) and wants its own image afresh. While no generation is under way. */
      readonly renew?: true | undefined
      /** This client on the host wants to restart all of it. Whether the plan names it or not, and while no generation is under way. */
      readonly reboot?: string | undefined
      readonly now: Millis
    }
  /**
   * The node is up again. `ok`: on the plan's image (for `replace`) or back on the previous one (for `revert`).
   * `rolledback`: the new image was not healthy in time, and the node flipped back. `skipped`: it never went down (busy, drain refused).
   */
  | {
      readonly type: 'release'
      readonly node: NodeId
      readonly token: number
      readonly outcome: 'ok' | 'rolledback' | 'skipped'
      readonly reason: string
      readonly now: Millis
    }
  /** A node finds that it runs the plan's image (or the previous one, when reversing) already: no disruption, so no permit. It says which and in which generation: on the way the rollout may have turned, and another may have begun. */
  | {
      readonly type: 'already'
      readonly node: NodeId
      readonly generation: number
      readonly image: Digest
      readonly now: Millis
    }
  /** A node that has been replaced in this generation is not well any more: it counts as failed, stays where it is, and is reverted with the others if they are. */
  | {
      readonly type: 'unwell'
      readonly node: NodeId
      readonly generation: number
      readonly reason: string
      readonly now: Millis
    }
  /** The soak is over: anybody may say so once `soakUntil` has passed. */
  | { readonly type: 'soaked'; readonly now: Millis }
  /** No grant or release for longer than the plan's progress deadline: anybody may pause the rollout. */
  | { readonly type: 'stall'; readonly reason: string; readonly now: Millis }
  /** An operator's word, its signature already checked. */
  | ({ readonly type: 'pause' } & Ordered)
  | ({ readonly type: 'resume' } & Ordered)
  | ({ readonly type: 'promote' } & Ordered)
  | ({ readonly type: 'abort' } & Ordered)
  | ({ readonly type: 'undo' } & Ordered)
  | { readonly type: 'write-off'; readonly node: NodeId; readonly reason: string; readonly now: Millis }
  /** Closes this epoch in favour of other voters. */
  | { readonly type: 'reconfigure'; readonly voters: readonly NodeId[] }

/** Why an action does not apply, as people read it in `explain`. */
export interface Refusal {
  readonly refused:
    | 'conflict' // another generation is active, or the plan was drafted against an older state
    | 'stale' // of an older generation, or the token is not held
    | 'budget' // K are down already
    | 'zone' // as many of its zone are down as may be
    | 'turn' // not this node's turn: canaries first, then wave by wave
    | 'expired' // the plan's time is over
    | 'phase' // the phase allows no such thing
    | 'denied' // the image failed here before
    | 'fenced' // the node was written off
    | 'not-in-roster'
    | 'closed' // the epoch is closed
    | 'unchanged' // it is so already: nothing to write
  readonly reason: string
}
