import type { Address, Digest, Health, LayerStatus, Millis, NodeClass, NodeId } from '../protocol/index.ts'
import type { Entry } from './table.ts'

/** `away` and `overdue` are for class intermittent alone, which is never `failed`. */
export type Status = 'alive' | 'suspect' | 'failed' | 'left' | 'away' | 'overdue'

/** One observer's suspicion of the version of a record that is known, as this node came to hold it. */
export interface Doubt {
  /** When it was heard here; for a member that was first heard of with it, when its author says. */
  at: Millis
  refused: boolean
  /** The observer is assigned to the subject in our view. */
  assigned: boolean
}

/** What this node makes of one member: the entry is what was said, the rest its own conclusions. */
export interface Member {
  readonly id: NodeId
  readonly entry: Entry
  status: Status
  /** When it came into this status. */
  since: Millis
  /** When it was last heard on a link, or said something new. */
  heardAt: Millis
  /** Smoothed round trip of probes, milliseconds. */
  rtt: number | undefined
  readonly doubts: Map<NodeId, Doubt>
  /** When it counts as failed unless it refutes; Infinity with no doubts. */
  failsAt: number
  /** It was failed or overdue by this node's own judgement when it came into this status: what a dismissal of it hangs on. */
  missing: boolean
  /** It has been gone for so long, or was pruned, that nobody is told of it any more. It is still kept, so that no late word of it makes it a new member. */
  reaped: boolean
  /** When it was last shown the suspicions against it. */
  toldAt: number
}

/** A member as people and programs see it. */
export interface MemberView {
  readonly id: NodeId
  readonly name: string
  readonly addresses: readonly Address[]
  readonly status: Status
  readonly class: NodeClass
  readonly zone: string
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly epoch: number
  readonly version: string
  readonly layers: readonly LayerStatus[]
  readonly health: Health
  readonly reason: string
  readonly taint: readonly string[]
  readonly images: readonly Digest[]
  readonly rttMs: number | null
  readonly since: Millis
}

export function viewOf(member: Member): MemberView {
  const { record, vitals } = member.entry
  return {
    id: member.id,
    name: record.body.name,
    addresses: record.body.addresses,
    status: member.status,
    class: record.body.class,
    zone: record.body.zone,
    group: record.body.group,
    tags: record.body.tags,
    epoch: record.body.epoch,
    version: record.body.version,
    layers: vitals?.body.layers ?? [],
    health: vitals?.body.health ?? 'unknown',
    reason: vitals?.body.reason ?? '',
    taint: vitals?.body.taint ?? [],
    images: vitals?.body.images ?? [],
    rttMs: member.rtt ?? null,
    since: member.since,
  }
}
