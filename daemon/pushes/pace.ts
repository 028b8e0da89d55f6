import { type Millis, millis, type NodeId } from '../../protocol/index.ts'

/** Pushes of one node that are passed on at once, and how many more a second: an index for ten platforms makes twelve. */
const BURST = 256
const PER_SECOND = 4
/** Nodes that are remembered. Who is forgotten begins with a full measure. */
const MAX_NODES = 1024

/** A token bucket for each node that takes pushes, so that none of them can have the whole fleet write to disk all the time. */
export function createPace(): (node: NodeId, now: Millis) => boolean {
  const buckets = new Map<NodeId, { tokens: number; at: Millis }>()
  return (node, now) => {
    const { tokens, at } = buckets.get(node) ?? { tokens: BURST, at: now }
    const left = Math.min(BURST, tokens + (Math.max(0, now - at) / 1000) * PER_SECOND)
    if (left < 1) return false
    buckets.delete(node)
    if (buckets.size >= MAX_NODES) buckets.delete(buckets.keys().next().value as NodeId)
    buckets.set(node, { tokens: left - 1, at: millis(now) })
    return true
  }
}
