import type { Address, Millis, NodeId } from '../protocol/index.ts'

/** How many are remembered; the longest unheard go first. */
const MAX_KNOWN = 20_000
/** Changes are written together, after this long and a millisecond for each address: a large fleet writes seldom. */
const WRITE_AFTER = 1_000
/** The first is written sooner: a node that has just joined knows nobody else to turn to. */
const FIRST_AFTER = 50

export type Peers = readonly (readonly [NodeId, readonly Address[]])[]

/** What the book does not have to keep itself: where the members are, those left out that have said goodbye. */
export type Present = () => Iterable<readonly [NodeId, readonly Address[]]>

/**
 * Where members were last known to be, in this life and earlier ones. Outlasts failure and reaping, so that whoever was cut
 * off, for however long, is still called. Only a goodbye or a revocation makes it forget.
 */
export interface AddressBook {
  of(node: NodeId): readonly Address[]
  nodes(): readonly NodeId[]
  /** Its record has come, and it is with the members from now on. True when the addresses are others than it was `known` by. */
  learn(now: Millis, node: NodeId, addresses: readonly Address[], known: readonly Address[]): boolean
  /** It is no member any more. */
  keep(node: NodeId, addresses: readonly Address[]): void
  forget(now: Millis, node: NodeId): void
  /** All of it, when a change is due to be written. */
  due(now: Millis): Peers | undefined
  nextAt(): number
}

/** Begins with those that were known earlier and are no members; `written`: there is a book on disk already. */
export function createAddressBook(peers: Peers, written: boolean, present: Present): AddressBook {
  /** Those that are no members: of an earlier life and not heard of since, or gone for so long that the table has dropped them. */
  const strays = new Map<NodeId, readonly Address[]>(peers.slice(-MAX_KNOWN))
  let writeAt = Number.POSITIVE_INFINITY
  let isWritten = written
  const all = (): [NodeId, readonly Address[]][] => {
    const known = new Map(strays)
    for (const [node, addresses] of present()) {
      known.delete(node)
      if (addresses.length > 0) known.set(node, addresses)
    }
    return [...known]
  }
  const changed = (now: Millis): void => {
    if (writeAt === Number.POSITIVE_INFINITY) writeAt = now + (isWritten ? WRITE_AFTER + all().length : FIRST_AFTER)
  }
  return {
    of: node => strays.get(node) ?? [],
    nodes: () => all().map(([node]) => node),
    learn(now, node, addresses, known) {
      if (addresses.length === 0) return false
      const moved = known.join(' ') !== addresses.join(' ')
      strays.delete(node)
      if (moved) changed(now)
      return moved
    },
    keep(node, addresses) {
      strays.delete(node)
      strays.set(node, addresses)
      if (strays.size > MAX_KNOWN) strays.delete(strays.keys().next().value!)
    },
    forget(now, node) {
      strays.delete(node)
      changed(now)
    },
    due(now) {
      if (now < writeAt) return undefined
      writeAt = Number.POSITIVE_INFINITY
      isWritten = true
      return all().slice(-MAX_KNOWN)
    },
    nextAt: () => writeAt,
  }
}
