import type { Address, Millis, NodeId } from '../protocol/index.ts'

/** How many are remembered; the longest unheard go first. */
const MAX_KNOWN = 20_000
/** Changes are written together, after this long and a millisecond for each address: a large fleet writes seldom. */
const WRITE_AFTER = 1_000
/** The first is written sooner: a node that has just joined knows nobody else to turn to. */
const FIRST_AFTER = 50

export type Peers = readonly (readonly [NodeId, readonly Address[]])[]

/**
 * Where members were last known to be, in this life and earlier ones. Outlasts failure and reaping, so that whoever was cut
 * off, for however long, is still called. Only a goodbye or a revocation makes it forget.
 */
export interface AddressBook {
  of(node: NodeId): readonly Address[]
  nodes(): IterableIterator<NodeId>
  /** True when that is news. */
  learn(now: Millis, node: NodeId, addresses: readonly Address[]): boolean
  forget(now: Millis, node: NodeId): void
  /** All of it, when a change is due to be written. */
  due(now: Millis): Peers | undefined
  nextAt(): number
}

export function createAddressBook(peers: Peers): AddressBook {
  const known = new Map<NodeId, readonly Address[]>(peers.slice(-MAX_KNOWN))
  let writeAt = Number.POSITIVE_INFINITY
  let written = peers.length > 0
  const changed = (now: Millis): void => {
    writeAt = Math.min(writeAt, now + (written ? WRITE_AFTER + known.size : FIRST_AFTER))
  }
  return {
    of: node => known.get(node) ?? [],
    nodes: () => known.keys(),
    learn(now, node, addresses) {
      const before = known.get(node)
      const same = before !== undefined && before.join(' ') === addresses.join(' ')
      if (same || addresses.length === 0) return false
      known.delete(node)
      known.set(node, addresses)
      if (known.size > MAX_KNOWN) known.delete(known.keys().next().value!)
      changed(now)
      return true
    },
    forget(now, node) {
      if (known.delete(node)) changed(now)
    },
    due(now) {
      if (now < writeAt) return undefined
      writeAt = Number.POSITIVE_INFINITY
      written = true
      return [...known]
    },
    nextAt: () => writeAt,
  }
}
