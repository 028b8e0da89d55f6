import type { MemberView } from '../membership/index.ts'
import type { Millis, NodeId } from '../protocol/index.ts'

/** What happened to members, in Serf's words; `reap`: gone for so long that nobody is told of it any more. */
export type MembersEvent = 'join' | 'leave' | 'failed' | 'update' | 'reap'

/** A user event as it was delivered on this node. */
export interface UserEvent {
  /** Where it stands in this node's order of events: what comes after it has a greater one. Lasts across restarts. */
  readonly cursor: number
  readonly author: NodeId
  /** Counts the author's events, from 1. With the author it is the event's identity. */
  readonly seq: number
  /** Lamport time. */
  readonly ltime: number
  readonly name: string
  readonly payload: Uint8Array
  readonly coalesce: boolean
  /** The author's wall clock when it was fired. */
  readonly at: Millis
}

/** A query that this node was asked, and that its filters let through. */
export interface IncomingQuery {
  readonly id: string
  readonly ltime: number
  readonly asker: NodeId
  readonly name: string
  readonly payload: Uint8Array
  /** After it nobody waits for the response any more. */
  readonly deadline: Millis
  /** One response a node; throws `conflict` for a second, `timeout` after the deadline, `too-large` past LIMITS.queryResponse. */
  respond(payload: Uint8Array): Promise<void>
}

/** What handlers, Serf's RPC clients and `fleetctl monitor` are told. */
export type Happening =
  | { readonly type: 'members'; readonly event: MembersEvent; readonly members: readonly MemberView[] }
  | { readonly type: 'event'; readonly event: UserEvent }
  | { readonly type: 'query'; readonly query: IncomingQuery }

/** Tells everybody who listens, in order and at once; who throws is not told of it and hurts nobody else. */
export interface Happenings {
  tell(happening: Happening): void
  /** Gives back what ends it. */
  listen(listener: (happening: Happening) => void): () => void
}

export function createHappenings(onError: (error: unknown) => void): Happenings {
  const listeners = new Set<(happening: Happening) => void>()
  return {
    tell(happening) {
      for (const listener of listeners) {
        try {
          listener(happening)
        } catch (error) {
          onError(error)
        }
      }
    },
    listen(listener) {
      const mine = (happening: Happening): void => listener(happening)
      listeners.add(mine)
      return () => void listeners.delete(mine)
    },
  }
}
