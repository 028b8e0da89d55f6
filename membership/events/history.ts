import { type FleetEvent, type Millis, millis, type NodeId, type Statement } from '../../protocol/index.ts'
import type { Have } from './frames.ts'
import { compareEvents, PATIENCE } from './order.ts'

/**
 * What a node that is new to the fleet learns of the time before it, from the first neighbour that it meets: how far each
 * author's events are over, and those that are still kept, for replay. A neighbour that lies about it can hide events of others
 * from this one node; it is the one that the operator's invite named.
 */
export interface History {
  readonly peer: NodeId
  readonly floors: Map<NodeId, number>
  readonly events: Statement<FleetEvent>[]
  /** All of the neighbour's vector has come. */
  complete: boolean
  readonly until: Millis
}

export const beginHistory = (now: Millis, peer: NodeId): History => ({
  peer,
  floors: new Map(),
  events: [],
  complete: false,
  until: millis(now + PATIENCE),
})

export function learn(history: History, entries: readonly Have[], last: boolean): void {
  for (const [node, upTo] of entries) history.floors.set(node, Math.max(upTo, history.floors.get(node) ?? 0))
  history.complete ||= last
}

/** In a line that causes come before their effects in, and of each author in the order of seq. */
export function inOrder(history: History): Statement<FleetEvent>[] {
  const newest = new Map<NodeId, number>()
  return history.events
    .sort((a, b) => compareEvents(a.body, b.body))
    .filter(({ body: { node, seq } }) => {
      if (seq <= (newest.get(node) ?? 0) || seq > (history.floors.get(node) ?? 0)) return false
      newest.set(node, seq)
      return true
    })
}
