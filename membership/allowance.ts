import type { Millis, NodeId } from '../protocol/index.ts'

/** How often each peer may have something that costs more to answer than to ask. */
export interface Allowance {
  /** True when it may now, and has one less left. */
  take(now: Millis, peer: NodeId): boolean
  drop(peer: NodeId): void
}

/** A token bucket for each peer: `burst` at once, and one more every `every` milliseconds. */
export function createAllowance({ burst, every }: { burst: number; every: number }): Allowance {
  const buckets = new Map<NodeId, { left: number; at: number }>()
  return {
    take(now, peer) {
      const before = buckets.get(peer) ?? { left: burst, at: now }
      const left = Math.min(burst, before.left + Math.max(0, now - before.at) / every)
      buckets.set(peer, { left: left < 1 ? left : left - 1, at: now })
      return left >= 1
    },
    drop: peer => void buckets.delete(peer),
  }
}
