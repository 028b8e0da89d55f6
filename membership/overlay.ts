import { type NodeId, sha256 } from '../protocol/index.ts'
import type { Atlas } from './atlas.ts'
import { createRings, type Place, placeOf, RINGS, type Rings } from './rings.ts'

/**
 * Views differ for a moment after every change: somebody at most this far before a node on a ring may be its observer
 * in his own view.
 */
const OBSERVER_TOLERANCE = 2 * RINGS
/** While the live are no more than this, with ourselves, all are neighbours. */
const EVERYBODY = 2 * RINGS + 1
/** How many members a node that is no part of the rings attaches to. */
const ATTACHMENTS = 3

/** Who observes whom and who is connected to whom: K hash rings over the live members (DESIGN §4), as seen by `self`. */
export interface Overlay {
  /** Puts a node on the rings, among the lost, or nowhere. */
  put(node: NodeId, role: 'live' | 'lost' | 'none'): void
  has(node: NodeId): boolean
  isLost(node: NodeId): boolean
  /** Live members, with ourselves. */
  readonly size: number
  /** Grows with every change that concerns this node: of its neighbours, or of the lost that would be. What is derived can be kept until then. */
  readonly version: number
  /** The next on each ring: whom we observe. */
  successors(): readonly NodeId[]
  /** The one before on each ring: by whom we are observed. */
  predecessors(): readonly NodeId[]
  /** Successors and predecessors on all rings; everybody while they are few. Whom to keep a link to. */
  neighbours(): readonly NodeId[]
  /** For a node outside the rings: three members by rendezvous hash (Thaler and Ravishankar, 1998). */
  attachments(): readonly NodeId[]
  /**
   * The lost that would be our neighbours if they were back: ours to keep calling. Between them the live members cover every
   * lost one, and each is called by at most 2K, however large the fleet is. All of them when we are alone.
   */
  lostNearby(): readonly NodeId[]
  /** Those before it on each ring: who observes this live member. */
  observersOf(subject: NodeId): readonly NodeId[]
  /** True when `observer` may be assigned to observe `subject`; either may be gone from the rings by now. */
  mayObserve(observer: NodeId, subject: NodeId): boolean
  /** Who is on the rings, and who is lost. */
  readonly rings: { readonly live: Rings; readonly lost: Rings }
  /** Begins with what another that shares the atlas has. */
  copy(other: Overlay): void
}

export function createOverlay(self: NodeId, atlas: Atlas): Overlay {
  const live = createRings(atlas)
  const lost = createRings(atlas)
  const scores = new Map<NodeId, string>()
  const here = placeOf(self)
  let version = 0
  let attaching = false
  let arcs: readonly (readonly [before: number, after: number])[] | undefined

  const place = (node: NodeId): Place => (node === self ? here : (atlas.seatOf(node) ?? placeOf(node)))
  const adjacent = (to: Place, sides: readonly ('after' | 'before')[]): readonly NodeId[] => {
    const found = new Set<NodeId>()
    for (let ring = 0; ring < RINGS; ring++)
      for (const side of sides) {
        const other = live[side](to, ring)
        if (other !== undefined) found.add(other.node)
      }
    return [...found]
  }
  /** From the neighbour before us to the one after us, on each ring. */
  const reach = (): readonly (readonly [number, number])[] => {
    arcs ??= Array.from({ length: RINGS }, (_, ring) => {
      const [before, after] = [live.before(here, ring), live.after(here, ring)]
      return [(before ?? here).at[ring]!, (after ?? here).at[ring]!]
    })
    return arcs
  }
  const concerns = (where: Place): boolean => {
    if (attaching || live.size <= EVERYBODY + 1 || where.node === self) return true
    for (const [ring, [before, after]] of reach().entries()) {
      const at = where.at[ring]!
      if (before <= after ? before <= at && at <= after : at >= before || at <= after) return true
    }
    return false
  }
  const score = (node: NodeId): string => {
    let known = scores.get(node)
    if (known === undefined) {
      known = sha256(Buffer.from(`fleetd attach ${self} ${node}`))
      scores.set(node, known)
    }
    return known
  }

  return {
    rings: { live, lost },
    put(node, role) {
      const before = live.has(node) ? 'live' : lost.has(node) ? 'lost' : 'none'
      if (before === role) return
      const concerned = concerns(place(node))
      // Added before it is removed, so that its seat is kept.
      if (role === 'live') live.add(node)
      if (role === 'lost') lost.add(node)
      if (before === 'live') live.remove(node)
      if (before === 'lost') lost.remove(node)
      if (role === 'none') scores.delete(node)
      if (!concerned) return
      version += 1
      arcs = undefined
    },
    has: node => live.has(node),
    isLost: node => lost.has(node),
    get size() {
      return live.size
    },
    get version() {
      return version
    },
    successors: () => adjacent(here, ['after']),
    predecessors: () => adjacent(here, ['before']),
    neighbours: () =>
      live.size <= EVERYBODY ? [...live.nodes()].filter(node => node !== self) : adjacent(here, ['after', 'before']),
    attachments() {
      attaching = true
      const best: NodeId[] = []
      for (const node of live.nodes()) {
        if (node === self) continue
        const index = best.findIndex(other => score(node) < score(other))
        if (index >= 0) best.splice(index, 0, node)
        else if (best.length < ATTACHMENTS) best.push(node)
        if (best.length > ATTACHMENTS) best.pop()
      }
      return best
    },
    lostNearby() {
      const found = new Set<NodeId>()
      if (lost.size === 0) return []
      for (let ring = 0; ring < RINGS; ring++) {
        const previous = live.before(here, ring) ?? here
        const next = live.after(here, ring) ?? here
        for (const node of lost.between(previous, here, ring)) found.add(node)
        for (const node of lost.between(here, next, ring)) found.add(node)
      }
      return [...found]
    },
    observersOf: subject => adjacent(place(subject), ['before']),
    mayObserve(observer, subject) {
      if (observer === subject) return false
      const from = place(observer)
      const to = place(subject)
      for (let ring = 0; ring < RINGS; ring++)
        if (live.distance(from, to, ring, OBSERVER_TOLERANCE) <= OBSERVER_TOLERANCE) return true
      return false
    },
    copy(other) {
      live.copy(other.rings.live)
      lost.copy(other.rings.lost)
      version += 1
      arcs = undefined
    },
  }
}
