import {
  COORDINATE_DIMENSIONS,
  COORDINATE_ERROR_MAX,
  COORDINATE_SPAN,
  type Coordinate,
  isSane,
  type NodeId,
  type Random,
} from '../protocol/index.ts'

// The algorithm is Vivaldi (Dabek et al., SIGCOMM 2004) with what Ledlie, Gardner and Seltzer added for the open internet
// (NSDI 2007: latency filter, gravity) and the adjustment of Lee et al. (2006); the constants are Serf's.

/** How far one measurement may move this node, as a share of what it is off by; Vivaldi's c_c and c_e. */
const CC = 0.25
const CE = 0.25
/** Height of a node that is close to the core: the least there is. Seconds. */
const HEIGHT_MIN = 10e-6
/** Round trips of one peer of which the median counts: one late answer moves nobody. */
const FILTER = 3
/** Measurements over which the adjustment is averaged. */
const ADJUSTMENTS = 20
/** Pull towards the origin: (distance / rho)^2 a measurement. Keeps the fleet from drifting away as a whole. Seconds. */
const GRAVITY_RHO = 150
/** Below this two places are the same. Seconds. */
const TINY = 1e-6
/** A measurement that says "you are much too far away" pulls no harder than if it were off by its own round trip, or by this. Seconds. */
const SHORTEST_PULL = 0.05
/** Peers whose last round trips are remembered: those that are observed, and some that were. */
const MAX_PEERS = 64

/** Nothing known: where every node starts, after every start. */
export const ORIGIN: Coordinate = {
  vector: Array.from({ length: COORDINATE_DIMENSIONS }, () => 0),
  error: COORDINATE_ERROR_MAX,
  adjustment: 0,
  height: HEIGHT_MIN,
}

/** True once at least one measurement has placed the node. */
export const isPlaced = (coordinate: Coordinate): boolean => coordinate.error < COORDINATE_ERROR_MAX

/** The estimated round trip between two nodes, milliseconds; never negative. */
export const rttBetween = (a: Coordinate, b: Coordinate): number => 1_000 * estimate(a, b)

/** This node's coordinate, as it learns from round trips. */
export interface Coordinates {
  readonly own: Coordinate
  /** How many measurements have been taken in. */
  readonly observations: number
  /** How often the coordinate went out of range and began anew. */
  readonly resets: number
  /**
   * Takes in a round trip to `peer`, in milliseconds, and where it says it is. False when it was not believed: not finite,
   * negative, over 10 s, or a coordinate out of range. What a peer may claim is bounded: one measurement moves this node by at most a
   * quarter of the round trip (of 50 ms where it is shorter), so a liar can shift it, and neither throw it away nor make it NaN.
   */
  observe(peer: NodeId, theirs: Coordinate, rttMs: number): boolean
}

export function createCoordinates(random: Random): Coordinates {
  const recent = new Map<NodeId, readonly number[]>()
  let own = ORIGIN
  let adjustments: readonly number[] = []
  let observations = 0
  let resets = 0

  /** The median of the last few: what delays one answer is not the network. */
  const filtered = (peer: NodeId, rtt: number): number => {
    const samples = [...(recent.get(peer) ?? []), rtt].slice(-FILTER)
    recent.delete(peer)
    recent.set(peer, samples)
    if (recent.size > MAX_PEERS) recent.delete(recent.keys().next().value!)
    return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)]!
  }

  return {
    get own() {
      return own
    },
    get observations() {
      return observations
    },
    get resets() {
      return resets
    },
    observe(peer, theirs, rttMs) {
      // Written so that NaN is refused too.
      if (!(rttMs >= 0 && rttMs <= 1_000 * COORDINATE_SPAN) || !isSane(theirs)) return false
      const rtt = Math.max(TINY, filtered(peer, rttMs / 1_000))
      const moved = spring(own, theirs, rtt, random)
      adjustments = [...adjustments, bounded(rtt - distance(moved, theirs), rtt)].slice(-ADJUSTMENTS)
      // Half: the other end makes up for the other half. Over the whole window from the beginning, so that the first few count little.
      const adjustment = adjustments.reduce((sum, each) => sum + each, 0) / (2 * ADJUSTMENTS)
      own = gravitate({ ...moved, adjustment }, random)
      observations += 1
      if (!isSane(own)) {
        own = ORIGIN
        adjustments = []
        resets += 1
      }
      return true
    },
  }
}

/** What `off` may count for: as much as it likes on the side of "too near", where the round trip bounds it, and as much the other way. */
const bounded = (off: number, rtt: number): number => Math.max(off, -Math.max(rtt, SHORTEST_PULL))

/** Vivaldi's step: a spring between the two whose rest length is the round trip, weighed by who is surer of its place. */
function spring(own: Coordinate, theirs: Coordinate, rtt: number, random: Random): Coordinate {
  const off = rtt - estimate(own, theirs)
  const weight = own.error / Math.max(TINY, own.error + theirs.error)
  const wrongness = Math.min(COORDINATE_ERROR_MAX, Math.abs(off) / rtt)
  return push(
    { ...own, error: Math.min(COORDINATE_ERROR_MAX, CE * weight * wrongness + (1 - CE * weight) * own.error) },
    theirs,
    CC * weight * bounded(off, rtt),
    random,
  )
}

/** Moves a coordinate by `force` seconds away from another one, or towards it where negative; part of the way is height. */
function push(own: Coordinate, other: Coordinate, force: number, random: Random): Coordinate {
  const away = own.vector.map((value, index) => value - other.vector[index]!)
  const flat = length(away)
  // In the same place any direction will do, and has to be another one for each node.
  if (flat <= TINY) return { ...own, vector: shifted(own.vector, anyDirection(random), force) }
  const heights = own.height + other.height
  const whole = flat + heights
  return {
    ...own,
    vector: shifted(own.vector, away, force / whole),
    height: Math.max(HEIGHT_MIN, own.height + (force * heights) / whole),
  }
}

function gravitate(own: Coordinate, random: Random): Coordinate {
  return push(own, ORIGIN, -((distance(own, ORIGIN) / GRAVITY_RHO) ** 2), random)
}

const shifted = (vector: readonly number[], direction: readonly number[], by: number): readonly number[] =>
  vector.map((value, index) => value + direction[index]! * by)

function anyDirection(random: Random): readonly number[] {
  const direction = ORIGIN.vector.map(() => random.float() - 0.5)
  const size = length(direction)
  return size > TINY ? direction.map(value => value / size) : direction
}

/** Euclid, without overflow: components are within +-10. */
const length = (vector: readonly number[]): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))

const distance = (a: Coordinate, b: Coordinate): number =>
  length(a.vector.map((value, index) => value - b.vector[index]!)) + a.height + b.height

/** In seconds. An adjustment that would make it negative is left out. */
function estimate(a: Coordinate, b: Coordinate): number {
  const plain = distance(a, b)
  const adjusted = plain + a.adjustment + b.adjustment
  return adjusted > 0 ? adjusted : plain
}
