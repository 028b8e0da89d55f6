import { type NodeId, sha256 } from '../protocol/index.ts'

/** Rings of the overlay. Each gives a node one successor and one predecessor; five make a random 10-regular graph, an expander. */
export const RINGS = 5

/** Where a node stands on each ring. */
export interface Place {
  readonly node: NodeId
  readonly at: readonly number[]
}

/**
 * Where this node stands on each ring: 6 bytes a ring of one SHA-256 over its id, which is as good as a hash for each ring.
 * Part of what nodes must agree on: neighbours only find each other when they place alike.
 */
export function placeOf(node: NodeId): Place {
  const hash = sha256(Buffer.from(`fleetd ring ${node}`))
  return {
    node,
    at: Array.from({ length: RINGS }, (_, ring) => Number.parseInt(hash.slice(12 * ring, 12 * ring + 12), 16)),
  }
}

/** A set of nodes on K hash rings. Adding and removing move memory; every question is a binary search a ring. */
export interface Rings {
  readonly size: number
  has(node: NodeId): boolean
  nodes(): IterableIterator<NodeId>
  add(place: Place): void
  remove(place: Place): void
  /** The first clockwise after `place` on a ring, and the first before it; never itself. Undefined when there is nobody else. */
  after(place: Place, ring: number): Place | undefined
  before(place: Place, ring: number): Place | undefined
  /** How many are passed from one to the other clockwise on a ring, up to and with the other where it is there. */
  distance(from: Place, to: Place, ring: number): number
  /** Those clockwise between two places on a ring, both left out. The same place twice means all the way round. */
  between(from: Place, to: Place, ring: number): NodeId[]
}

export function createRings(): Rings {
  const rings: Place[][] = Array.from({ length: RINGS }, () => [])
  const members = new Set<NodeId>()

  /** Index of the first place at or after this one. Equal positions are told apart by id. */
  const find = (ring: number, { at, node }: Place): number => {
    const places = rings[ring]!
    const position = at[ring]!
    let low = 0
    let high = places.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = places[middle]!
      const theirs = other.at[ring]!
      if (theirs < position || (theirs === position && other.node < node)) low = middle + 1
      else high = middle
    }
    return low
  }
  const present = (ring: number, index: number, place: Place): boolean => rings[ring]![index]?.node === place.node
  /** How many places there are clockwise from one, itself included where it is there, until the other. */
  const span = (ring: number, from: Place, to: Place): number => {
    const { length } = rings[ring]!
    const start = find(ring, from)
    const end = find(ring, to)
    const steps = (((end - start) % length) + length) % length
    if (steps > 0 || from.node === to.node) return steps
    if (present(ring, start, from)) return length
    if (present(ring, end, to)) return 0
    // Both are in one gap, which may be the one where the ring closes: the other is just ahead, or all the way round.
    return (start === end ? before(to, from, ring) : end > start) ? length : 0
  }

  return {
    get size() {
      return members.size
    },
    has: node => members.has(node),
    nodes: () => members.values(),
    add(place) {
      if (members.has(place.node)) return
      members.add(place.node)
      for (let ring = 0; ring < RINGS; ring++) rings[ring]!.splice(find(ring, place), 0, place)
    },
    remove(place) {
      if (!members.delete(place.node)) return
      for (let ring = 0; ring < RINGS; ring++) rings[ring]!.splice(find(ring, place), 1)
    },
    after(place, ring) {
      const places = rings[ring]!
      if (places.length === 0) return undefined
      const index = find(ring, place)
      const next = places[(index + (present(ring, index, place) ? 1 : 0)) % places.length]!
      return next.node === place.node ? undefined : next
    },
    before(place, ring) {
      const places = rings[ring]!
      if (places.length === 0) return undefined
      const previous = places[(find(ring, place) - 1 + places.length) % places.length]!
      return previous.node === place.node ? undefined : previous
    },
    distance(from, to, ring) {
      if (rings[ring]!.length === 0) return 0
      const start = find(ring, from)
      // One that is not there sits just before the place that was found for it.
      return span(ring, from, to) + (present(ring, start, from) ? 0 : 1)
    },
    between(from, to, ring) {
      const places = rings[ring]!
      const found: NodeId[] = []
      if (places.length === 0) return found
      const start = find(ring, from)
      const count = from.node === to.node ? places.length : span(ring, from, to)
      for (let step = 0; step < count; step++) {
        const { node } = places[(start + step) % places.length]!
        if (node !== from.node && node !== to.node) found.push(node)
      }
      return found
    },
  }
}

const before = (a: Place, b: Place, ring: number): boolean =>
  a.at[ring]! < b.at[ring]! || (a.at[ring]! === b.at[ring]! && a.node < b.node)
