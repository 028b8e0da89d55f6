import type { NodeId } from '../../protocol/index.ts'
import { createOrder } from './order.ts'
import type { EventsState, Remembered } from './types.ts'

/** The state after what was remembered since `state`: what the machine had when it said the last of it. */
export function restore(self: NodeId, state: EventsState, since: readonly Remembered[]): EventsState {
  const nothing = (): void => undefined
  const order = createOrder(self, state, { deliver: nothing, lost: nothing, without: nothing })
  let { cursor, fresh } = state
  for (const item of since) {
    switch (item.type) {
      case 'deliver':
        cursor = item.event.cursor
        order.recall(item.event.statement)
        break
      case 'lost':
        order.skip(item.node, item.to)
        break
      case 'settled':
        fresh = false
        for (const [node, floor] of item.floors) order.skip(node, floor)
        break
      default:
        item satisfies never
    }
  }
  return { ...order.state(), cursor, fresh }
}
