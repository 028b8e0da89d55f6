import { type NodeId, sha256 } from '../protocol/index.ts'

/** Rings of the overlay. Each gives a node one successor and one predecessor; five make a random 10-regular graph, an expander. */
export const RINGS = 5
/** Views differ for a moment after every change: somebody this close before a node on a ring may be its observer in his. */
const OBSERVER_TOLERANCE = 4
/** How many members a node that is no part of the rings attaches to. */
const ATTACHMENTS = 3

interface Place {
  readonly position: number
  readonly node: NodeId
}

/** K seeded hash rings over the live members (DESIGN §4). Who observes whom, and who is connected to whom, follows from them. */
export interface Overlay {
  add(node: NodeId): void
  remove(node: NodeId): void
  has(node: NodeId): boolean
  readonly size: number
  /** The next on each ring: whom `node` observes. */
  successors(node: NodeId): readonly NodeId[]
  /** Successors and predecessors on all rings; everybody while they are few. */
  neighbours(node: NodeId): readonly NodeId[]
  /** For a node outside the rings: three members by rendezvous hash (Thaler and Ravishankar, 1998). */
  attachments(node: NodeId): readonly NodeId[]
  /** True when `observer` may be assigned to observe `subject`, also when the subject is no longer on the rings. */
  mayObserve(observer: NodeId, subject: NodeId): boolean
}

export function createOverlay(): Overlay {
  const rings: Place[][] = Array.from({ length: RINGS }, () => [])
  const positions = new Map<NodeId, readonly number[]>()
  const members = new Set<NodeId>()

  const placesOf = (node: NodeId): readonly number[] => {
    let known = positions.get(node)
    if (known === undefined) {
      known = Array.from({ length: RINGS }, (_, ring) =>
        Number.parseInt(sha256(Buffer.from(`ring ${ring} ${node}`)).slice(0, 12), 16),
      )
      positions.set(node, known)
    }
    return known
  }
  /** Index of the first place at or after this one. */
  const find = (ring: readonly Place[], position: number, node: NodeId): number => {
    let low = 0
    let high = ring.length
    while (low < high) {
      const middle = (low + high) >> 1
      const place = ring[middle]!
      if (place.position < position || (place.position === position && place.node < node)) low = middle + 1
      else high = middle
    }
    return low
  }
  const around = (node: NodeId, offsets: readonly number[]): readonly NodeId[] => {
    const found = new Set<NodeId>()
    for (const [index, ring] of rings.entries()) {
      if (ring.length === 0) continue
      const at = find(ring, placesOf(node)[index]!, node)
      const present = ring[at]?.node === node
      for (const offset of offsets) {
        // An absent node sits between two places: its successor is the one at `at`.
        const step = offset > 0 && !present ? offset - 1 : offset
        found.add(ring[(((at + step) % ring.length) + ring.length) % ring.length]!.node)
      }
    }
    found.delete(node)
    return [...found]
  }

  return {
    get size() {
      return members.size
    },
    has: node => members.has(node),
    add(node) {
      if (members.has(node)) return
      members.add(node)
      for (const [index, ring] of rings.entries()) {
        const position = placesOf(node)[index]!
        ring.splice(find(ring, position, node), 0, { position, node })
      }
    },
    remove(node) {
      if (!members.delete(node)) return
      for (const [index, ring] of rings.entries()) ring.splice(find(ring, placesOf(node)[index]!, node), 1)
      positions.delete(node)
    },
    successors: node => around(node, [1]),
    neighbours: node =>
      members.size <= 2 * RINGS + 1 ? [...members].filter(other => other !== node) : around(node, [1, -1]),
    attachments(node) {
      const score = (other: NodeId): string => sha256(Buffer.from(`attach ${node} ${other}`))
      return [...members]
        .filter(other => other !== node)
        .map(other => ({ other, score: score(other) }))
        .sort((a, b) => (a.score < b.score ? -1 : 1))
        .slice(0, ATTACHMENTS)
        .map(({ other }) => other)
    },
    mayObserve(observer, subject) {
      if (!members.has(observer) || observer === subject) return false
      return rings.some((ring, index) => {
        const from = find(ring, placesOf(observer)[index]!, observer)
        const to = find(ring, placesOf(subject)[index]!, subject)
        return (((to - from) % ring.length) + ring.length) % ring.length <= OBSERVER_TOLERANCE
      })
    },
  }
}
