import type { FleetEvent, Millis, NodeId, Random, Statement, StatementKind } from '../../protocol/index.ts'
import type { BufferBounds, Delivered, Kept } from './buffer.ts'
import type { OrderState } from './order.ts'

/** All that a node remembers of events besides those that it keeps. */
export interface EventsState extends OrderState {
  /** The cursor of the newest event. */
  readonly cursor: number
  /** It has never yet been told by a neighbour what was before its time. */
  readonly fresh: boolean
}

export const NO_EVENTS: EventsState = { floors: [], frontier: [], clock: 0, cursor: 0, fresh: true }

export interface EventsInit {
  readonly self: NodeId
  readonly random: Random
  readonly now: Millis
  readonly state: EventsState
  /** What was kept, in order. */
  readonly kept: readonly Kept[]
  readonly bounds?: BufferBounds
  readonly sign: (kind: StatementKind<FleetEvent>, body: FleetEvent) => Statement<FleetEvent>
  /** Checks what a neighbour sent; undefined when it is not to be believed. Pure. */
  readonly open: (bytes: Uint8Array) => Statement<FleetEvent> | undefined
}

export type Input =
  | { readonly type: 'wake' }
  /** May be told twice. */
  | { readonly type: 'linkUp'; readonly peer: NodeId }
  | { readonly type: 'linkDown'; readonly peer: NodeId }
  | { readonly type: 'frame'; readonly peer: NodeId; readonly frame: Uint8Array }
  /** An event came by gossip, through `peer`. */
  | { readonly type: 'gossip'; readonly event: Statement<FleetEvent>; readonly peer: NodeId }
  | { readonly type: 'fire'; readonly name: string; readonly payload: Uint8Array; readonly coalesce: boolean }
  | { readonly type: 'revoked'; readonly node: NodeId }

/** `deliver`, `lost` and `settled` change what has to be remembered: they are to be on disk, in this order, before anybody is told. */
export type Effect =
  /** The next `wake` is wanted then, whatever was said before. Not repeated while it holds. */
  | { readonly type: 'wakeAt'; readonly at: Millis }
  | { readonly type: 'send'; readonly peer: NodeId; readonly frame: Uint8Array }
  /** `event.told` false: for replay alone. An event of this node's own is to be published once it is on disk. */
  | { readonly type: 'deliver'; readonly event: Delivered }
  /** These events, both ends included, will never be delivered here. */
  | { readonly type: 'lost'; readonly node: NodeId; readonly from: number; readonly to: number }
  /** Event `seq` of `node` is delivered although it names event `at` of `cause` as before it: nobody has that, and it may not exist. */
  | {
      readonly type: 'without'
      readonly node: NodeId
      readonly seq: number
      readonly cause: NodeId
      readonly at: number
    }
  /** The node is fresh no more; `floors`: what was before its time. */
  | { readonly type: 'settled'; readonly floors: readonly (readonly [NodeId, number])[] }
  | { readonly type: 'misbehaved'; readonly peer: NodeId; readonly reason: string }

/** What has to be remembered. */
export type Remembered = Extract<Effect, { type: 'deliver' | 'lost' | 'settled' }>

/** `excess`: its author fires faster than is passed on; it comes by anti-entropy. */
export type Worth = 'news' | 'known' | 'excess'
