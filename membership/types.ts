import type {
  Address,
  Digest,
  Dismissal,
  Millis,
  NodeId,
  NodeRecord,
  Random,
  Statement,
  StatementKind,
  Suspicion,
  Vitals,
} from '../protocol/index.ts'
import type { Atlas } from './atlas.ts'
import type { Knock } from './evidence.ts'
import type { GossipKind } from './frames.ts'
import type { MemberView } from './members.ts'
import type { Profile } from './profiles.ts'

/** What this node says of itself, without what the machine adds. */
export type SelfRecord = Pick<
  NodeRecord,
  'name' | 'addresses' | 'class' | 'zone' | 'group' | 'tags' | 'version' | 'certificate'
> &
  Partial<Pick<NodeRecord, 'contactDeadline' | 'services'>>
export type SelfVitals = Pick<Vitals, 'health' | 'reason' | 'layers' | 'images' | 'taint' | 'services'>

/** A statement whose signatures and right to be said have been checked. */
export type Heard =
  | { readonly kind: 'record'; readonly statement: Statement<NodeRecord> }
  | { readonly kind: 'vitals'; readonly statement: Statement<Vitals> }
  | { readonly kind: 'suspicion'; readonly statement: Statement<Suspicion>; readonly observer: NodeId }
  | { readonly kind: 'dismissal'; readonly statement: Statement<Dismissal> }
  | { readonly kind: 'document'; readonly bytes: Uint8Array }

export interface MembershipInit {
  readonly self: NodeId
  readonly profile: Profile
  readonly random: Random
  /** This start's number: greater than that of every earlier one. */
  readonly epoch: number
  readonly record: SelfRecord
  readonly now: Millis
  /** Signs as this node. */
  readonly sign: <T>(kind: StatementKind<T>, body: T) => Statement<T>
  /** Checks what a neighbour passed on in a sync; undefined when it is not to be believed. Pure. */
  readonly open: (kind: GossipKind, bytes: Uint8Array) => Heard | undefined
  /** Addresses from an earlier life: where to look for the fleet when nobody calls. */
  readonly peers: readonly (readonly [NodeId, readonly Address[]])[]
  /** Shared with other machines of this process; one of its own by default. */
  readonly atlas?: Atlas
}

export type Input =
  /** `late`: for how long at most the event loop was held since the last one, milliseconds. */
  | { readonly type: 'wake'; readonly late: number }
  /** May be told twice. */
  | { readonly type: 'linkUp'; readonly peer: NodeId }
  | { readonly type: 'linkDown'; readonly peer: NodeId }
  /** What came of a `connect`, with its addresses as they were given. `refused`: the host says that nothing listens there. */
  | {
      readonly type: 'dialFailed'
      readonly peer: NodeId | undefined
      readonly addresses: readonly Address[]
      readonly refused: boolean
    }
  /** What came of a `knock`. */
  | { readonly type: 'knocked'; readonly peer: NodeId; readonly answer: Knock }
  | { readonly type: 'frame'; readonly peer: NodeId; readonly frame: Uint8Array }
  | { readonly type: 'heard'; readonly peer: NodeId }
  | { readonly type: 'gossip'; readonly heard: Heard }
  /** Addresses at which some member should be, from the operator or from mDNS. Tried until one answers. */
  | { readonly type: 'join'; readonly addresses: readonly Address[]; readonly peer: NodeId | undefined }
  | { readonly type: 'record'; readonly change: Partial<SelfRecord> }
  | { readonly type: 'vitals'; readonly vitals: SelfVitals }
  /** A document of our own to be kept and passed on. */
  | { readonly type: 'document'; readonly bytes: Uint8Array }
  /** A document that has been overtaken: not kept, passed on or taken again for a day. */
  | { readonly type: 'forget'; readonly id: Digest }
  /** Another policy is in force: what did not follow from the one before, or was signed by others than it names, may be taken now. */
  | { readonly type: 'policy' }
  /** An operator put this node out for good. */
  | { readonly type: 'revoked'; readonly node: NodeId }
  /** Somebody here has done with a node. Of no effect unless it is failed, overdue or left here. */
  | { readonly type: 'dismiss'; readonly node: NodeId; readonly prune: boolean }
  | { readonly type: 'leave' }

export type Effect =
  /** The next `wake` is wanted then, whatever was said before. Not repeated while it holds. */
  | { readonly type: 'wakeAt'; readonly at: Millis }
  | { readonly type: 'send'; readonly peer: NodeId; readonly frame: Uint8Array }
  | { readonly type: 'publish'; readonly message: Uint8Array }
  | { readonly type: 'connect'; readonly peer: NodeId | undefined; readonly addresses: readonly Address[] }
  /** Begin a connection to each of these and end it at once: all that is asked is whether the host answers within `timeout` milliseconds. */
  | { readonly type: 'knock'; readonly peer: NodeId; readonly addresses: readonly Address[]; readonly timeout: number }
  | { readonly type: 'disconnect'; readonly peer: NodeId }
  /** The peer sent what no honest one sends. */
  | { readonly type: 'misbehaved'; readonly peer: NodeId; readonly reason: string }
  /** Where members are, to be kept on disk in place of what was: the next life begins with it. */
  | { readonly type: 'peers'; readonly peers: readonly (readonly [NodeId, readonly Address[]])[] }
  | { readonly type: 'event'; readonly event: MemberEvent; readonly member: MemberView }
  /** A document that was not known before came from another node. */
  | { readonly type: 'document'; readonly bytes: Uint8Array }
  /** Another daemon speaks with this node's key while this one lives: its data directory was copied. Where the other says to be, if it said that. */
  | { readonly type: 'twin'; readonly addresses: readonly Address[] | undefined }

export type MemberEvent = 'join' | 'update' | 'suspect' | 'failed' | 'leave' | 'away' | 'overdue' | 'reap'
