import { type NodeId, sha256 } from '../protocol/index.ts'
import type { Atlas } from './atlas.ts'
import { sized } from './slots.ts'

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

/**
 * A set of nodes on K hash rings: the atlas knows the order of all nodes, and this which of them are in the set. Nearly all of
 * them are, so the next one is found in a few steps.
 */
export interface Rings {
  readonly size: number
  has(node: NodeId): boolean
  nodes(): IterableIterator<NodeId>
  add(node: NodeId): void
  remove(node: NodeId): void
  /** The first clockwise after `place` on a ring, and the first before it; never itself. Undefined when there is nobody else. */
  after(place: Place, ring: number): Place | undefined
  before(place: Place, ring: number): Place | undefined
  /** How many are passed from one to the other clockwise on a ring, with the other, be it there or not. Counts no further than `most`. */
  distance(from: Place, to: Place, ring: number, most?: number): number
  /** Those clockwise between two places on a ring, both left out. The same place twice means all the way round. */
  between(from: Place, to: Place, ring: number): NodeId[]
  /** Begins with the nodes of another that shares the atlas. */
  copy(other: Rings): void
  /** A byte for each slot: 1 for those that are in the set. */
  readonly marks: Uint8Array
}

export function createRings(atlas: Atlas): Rings {
  let on = new Uint8Array(0)
  let size = 0
  const has = (node: NodeId): boolean => {
    const seat = atlas.seatOf(node)
    return seat !== undefined && on[seat.slot] === 1
  }
  /** The first in the set from that index on, clockwise or against, that is not the place itself. */
  const next = (place: Place, ring: number, from: number, by: 1 | -1): Place | undefined => {
    if (size === 0) return undefined
    const order = atlas.rings[ring]!
    const { length } = order
    let index = from < 0 ? length - 1 : from
    for (let step = 0; step < length; step++) {
      if (index === length) index = 0
      const seat = order[index]!
      if (on[seat.slot] === 1 && seat.node !== place.node) return seat
      index += by
      if (index < 0) index = length - 1
    }
    return undefined
  }
  /** The seats clockwise between two places, both left out, whether in the set or not: where they begin, and how many. */
  const span = (from: Place, to: Place, ring: number): readonly [start: number, count: number] => {
    const order = atlas.rings[ring]!
    const { length } = order
    if (length === 0) return [0, 0]
    const found = atlas.find(ring, from)
    const present = order[found]?.node === from.node
    const start = found + (present ? 1 : 0)
    if (from.node === to.node) return [start, length - (present ? 1 : 0)]
    const end = atlas.find(ring, to)
    // Both in one gap: the other is just ahead, or all the way round.
    if (found === end && !present)
      return [start, precedes(from, to, ring) ? 0 : order[end]?.node === to.node ? length - 1 : length]
    return [start, (end - start + length) % length]
  }

  return {
    get size() {
      return size
    },
    get marks() {
      return on
    },
    has,
    *nodes() {
      for (const seat of atlas.seats) if (seat !== undefined && on[seat.slot] === 1) yield seat.node
    },
    add(node) {
      if (has(node)) return
      const { slot } = atlas.hold(node)
      on = sized(on, slot)
      on[slot] = 1
      size += 1
    },
    remove(node) {
      if (!has(node)) return
      const seat = atlas.seatOf(node)!
      on[seat.slot] = 0
      size -= 1
      atlas.release(seat)
    },
    after: (place, ring) => next(place, ring, atlas.find(ring, place), 1),
    before: (place, ring) => next(place, ring, atlas.find(ring, place) - 1, -1),
    distance(from, to, ring, most = Number.POSITIVE_INFINITY) {
      if (size === 0) return 0
      const order = atlas.rings[ring]!
      const [start, count] = span(from, to, ring)
      let passed = 1
      for (let step = 0; step < count && passed <= most; step++)
        if (on[order[(start + step) % order.length]!.slot] === 1) passed += 1
      return passed
    },
    between(from, to, ring) {
      const order = atlas.rings[ring]!
      const found: NodeId[] = []
      if (size === 0) return found
      const [start, count] = span(from, to, ring)
      for (let step = 0; step < count; step++) {
        const seat = order[(start + step) % order.length]!
        if (on[seat.slot] === 1) found.push(seat.node)
      }
      return found
    },
    copy(other) {
      on = other.marks.slice(0, atlas.seats.length)
      size = other.size
    },
  }
}

const precedes = (a: Place, b: Place, ring: number): boolean =>
  a.at[ring]! < b.at[ring]! || (a.at[ring]! === b.at[ring]! && a.node < b.node)
