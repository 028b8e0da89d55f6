import type { NodeId } from '../protocol/index.ts'
import { sha256 } from '../protocol/index.ts'
import { BUCKETS } from './frames.ts'
import { type Place, placeOf, RINGS } from './rings.ts'
import { sized } from './slots.ts'

/** What is true of a node whoever looks: a small number to file it under, its places on the rings, its bucket. */
export interface Seat extends Place {
  readonly slot: number
  readonly bucket: number
}

/**
 * The nodes that somebody here has something filed about. What is held of each is then held in arrays by slot, which is a tenth of
 * what a map by id takes; and what can be worked out of an id is worked out once. The machines of a simulated fleet share one.
 */
export interface Atlas {
  seatOf(node: NodeId): Seat | undefined
  /** Its seat, given to it now if it has none, and kept until it has been released as often. Slots are used again. */
  hold(node: NodeId): Seat
  release(seat: Seat): void
  /** By slot; undefined where nobody is. */
  readonly seats: readonly (Seat | undefined)[]
  /** Clockwise, with all nodes that have a seat. */
  readonly rings: readonly (readonly Seat[])[]
  readonly buckets: readonly ReadonlySet<Seat>[]
  /** Index on the ring of the first seat at or after a place. */
  find(ring: number, place: Place): number
  /** The entry that comes of a statement. Where many machines share the atlas, all of them get the one that the first has made. */
  derived<T extends object>(from: object, by: object, make: () => T): T
}

/** `shared`: by several machines of one process, as in the simulator. Then seats are kept for ever, and entries are made once. */
export function createAtlas({ shared = false } = {}): Atlas {
  const byNode = new Map<NodeId, Seat>()
  const holders: number[] = []
  const free: number[] = []
  const seats: (Seat | undefined)[] = []
  const rings: Seat[][] = Array.from({ length: RINGS }, () => [])
  const buckets: Set<Seat>[] = Array.from({ length: BUCKETS }, () => new Set())
  const made = new WeakMap<object, Map<object, object>>()
  /** Where each seat was last found, by slot and ring: asked for again and again, and it only moves when somebody sits down before it. */
  let found = new Int32Array(0)

  const find = (ring: number, place: Place): number => {
    const order = rings[ring]!
    const { at, node } = place
    const seat = byNode.get(node)
    const before = seat === undefined ? 0 : found[RINGS * seat.slot + ring]!
    if (seat !== undefined && order[before] === seat) return before
    const position = at[ring]!
    let low = 0
    let high = order.length
    while (low < high) {
      const middle = (low + high) >> 1
      const other = order[middle]!
      const theirs = other.at[ring]!
      // Equal positions are told apart by id.
      if (theirs < position || (theirs === position && other.node < node)) low = middle + 1
      else high = middle
    }
    if (seat !== undefined) found[RINGS * seat.slot + ring] = low
    return low
  }
  const sit = (node: NodeId): Seat => {
    const seat: Seat = { ...placeOf(node), slot: free.pop() ?? seats.length, bucket: bucketOf(node) }
    byNode.set(node, seat)
    seats[seat.slot] = seat
    found = sized(found, RINGS * (seat.slot + 1) - 1)
    holders[seat.slot] = 0
    buckets[seat.bucket]!.add(seat)
    for (let ring = 0; ring < RINGS; ring++) rings[ring]!.splice(find(ring, seat), 0, seat)
    return seat
  }

  return {
    seats,
    rings,
    buckets,
    find,
    seatOf: node => byNode.get(node),
    hold(node) {
      const seat = byNode.get(node) ?? sit(node)
      holders[seat.slot]! += 1
      return seat
    },
    release(seat) {
      holders[seat.slot]! -= 1
      if (shared || holders[seat.slot]! > 0) return
      for (let ring = 0; ring < RINGS; ring++) rings[ring]!.splice(find(ring, seat), 1)
      buckets[seat.bucket]!.delete(seat)
      byNode.delete(seat.node)
      seats[seat.slot] = undefined
      free.push(seat.slot)
    },
    derived<T extends object>(from: object, by: object, make: () => T): T {
      if (!shared) return make()
      let all = made.get(from)
      if (all === undefined) {
        all = new Map()
        made.set(from, all)
      }
      let entry = all.get(by) as T | undefined
      if (entry === undefined) {
        entry = make()
        all.set(by, entry)
      }
      return entry
    },
  }
}

const bucketOf = (node: NodeId): number => Number.parseInt(sha256(Buffer.from(node)).slice(-2), 16) % BUCKETS
