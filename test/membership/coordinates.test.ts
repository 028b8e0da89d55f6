import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCoordinates, isPlaced, ORIGIN, rttBetween } from '../../membership/coordinates.ts'
import {
  COORDINATE_BYTES,
  type Coordinate,
  isSane,
  packCoordinate,
  type Random,
  seededRandom,
  unpackCoordinate,
} from '../../protocol/index.ts'
import { nodeNumber } from './support.ts'

/** True round trips between nodes, milliseconds. */
type Truth = readonly (readonly number[])[]

const world = (nodes: number, between: (i: number, j: number) => number): Truth => {
  const upper = Array.from({ length: nodes }, (_, i) =>
    Array.from({ length: nodes }, (_, j) => (i < j ? between(i, j) : 0)),
  )
  return upper.map((row, i) => row.map((rtt, j) => (i > j ? upper[j]![i]! : rtt)))
}
const gauss = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float())

/** Each node measures a random other one a thousand times; then the relative errors of all estimates. */
function learn(truth: Truth, seed: number): { average: number; largest: number } {
  const random = seededRandom(seed)
  const ids = truth.map((_, i) => nodeNumber(i))
  const nodes = truth.map((_, i) => createCoordinates(seededRandom(1_000 * seed + i)))
  for (let cycle = 0; cycle < 1_000; cycle += 1) {
    for (const [i, node] of nodes.entries()) {
      const j = random.int(nodes.length)
      if (j !== i) node.observe(ids[j]!, nodes[j]!.own, truth[i]![j]!)
    }
  }
  const errors = nodes.flatMap((a, i) =>
    nodes.slice(i + 1).map((b, k) => {
      const rtt = truth[i]![i + 1 + k]!
      return Math.abs(rttBetween(a.own, b.own) - rtt) / rtt
    }),
  )
  return { average: errors.reduce((sum, each) => sum + each, 0) / errors.length, largest: Math.max(...errors) }
}

// The worlds and the bounds of Serf's own performance tests, which use one seed; over several the worst may be a few times that.
describe.each([
  ['a line of 10, 10 ms apart', () => world(10, (i, j) => 10 * (j - i)), 0.0031, 0.013],
  [
    'a grid of 25, 10 ms apart',
    () => world(25, (i, j) => 10 * Math.hypot((i % 5) - (j % 5), Math.floor(i / 5) - Math.floor(j / 5))),
    0.0016,
    0.023,
  ],
  ['two sites of 1 ms, 10 ms apart', () => world(25, (i, j) => (i <= 12 && j > 12 ? 11 : 1)), 0.00006, 0.00048],
  [
    'random round trips around 100 ms',
    (random: Random) => world(25, () => Math.max(1, 100 + 10 * gauss(random))),
    0.075,
    0.33,
  ],
])('%s', (_name, make, average, largest) => {
  test('is learned within the bounds that Serf holds, in the median of five seeds', () => {
    const runs = [1, 2, 3, 4, 5].map(seed => learn(make(seededRandom(seed)), seed))
    const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[2]!
    expect(median(runs.map(run => run.average))).toBeLessThanOrEqual(1.25 * average)
    expect(median(runs.map(run => run.largest))).toBeLessThanOrEqual(1.25 * largest)
    for (const run of runs) expect(run.average).toBeLessThanOrEqual(5 * average)
  })
})

const anyNumber = fc.oneof(fc.double(), fc.double({ min: -20, max: 20 }))
/** What a peer may claim: anything at all. */
const hostile: fc.Arbitrary<Coordinate> = fc.record({
  vector: fc.array(anyNumber, { minLength: 7, maxLength: 9 }),
  error: fc.oneof(anyNumber, fc.constant(0)),
  adjustment: anyNumber,
  height: anyNumber,
})
const inRange = fc.record({
  vector: fc.array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: 8, maxLength: 8 }),
  error: fc.float({ min: 0, max: 1.5, noNaN: true }),
  adjustment: fc.float({ min: -10, max: 10, noNaN: true }),
  height: fc.float({ min: 0, max: 10, noNaN: true }),
})
const claim = fc.tuple(
  fc.nat({ max: 5 }),
  fc.oneof(hostile, inRange),
  fc.oneof(anyNumber, fc.double({ min: 0, max: 10_000 })),
)

const movedBy = (a: Coordinate, b: Coordinate): number =>
  Math.hypot(...a.vector.map((value, index) => value - b.vector[index]!)) + Math.abs(a.height - b.height)

test('whatever peers claim, the coordinate stays in its range and the estimates are numbers', () => {
  fc.assert(
    fc.property(fc.array(claim, { maxLength: 60 }), fc.integer(), (claims, seed) => {
      const node = createCoordinates(seededRandom(seed))
      for (const [peer, theirs, rtt] of claims) {
        const before = node.own
        const believed = node.observe(nodeNumber(peer), theirs, rtt)
        expect(isSane(node.own)).toBe(true)
        if (!believed) expect(node.own).toBe(before)
        const estimate = rttBetween(node.own, ORIGIN)
        expect(estimate).toBeGreaterThanOrEqual(0)
        expect(Number.isFinite(estimate)).toBe(true)
      }
    }),
  )
})

test('one measurement moves the node by no more than a quarter of the round trip, or of 50 ms, whatever the peer claims', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(inRange, fc.double({ min: 0, max: 5, noNaN: true })), { maxLength: 30 }), claims => {
      const node = createCoordinates(seededRandom(1))
      for (const [index, [theirs, rtt]] of claims.entries()) {
        const before = node.own
        node.observe(nodeNumber(index), theirs, rtt)
        // Gravity adds (10 / 150)^2 at most, and only so far out.
        expect(movedBy(before, node.own)).toBeLessThanOrEqual(0.05 / 4 + 0.001)
      }
    }),
  )
})

test('one liar among five leaves a fleet on a LAN with estimates that are off by milliseconds, not seconds', () => {
  const random = seededRandom(3)
  const honest = Array.from({ length: 8 }, (_, i) => createCoordinates(seededRandom(i)))
  const lie: Coordinate = { vector: Array.from({ length: 8 }, () => 10), error: 0, adjustment: 10, height: 10 }
  for (let cycle = 0; cycle < 500; cycle += 1) {
    for (const [i, node] of honest.entries()) {
      const j = random.int(honest.length)
      if (random.int(5) === 0) node.observe(nodeNumber(99), lie, 1)
      else if (j !== i) node.observe(nodeNumber(j), honest[j]!.own, 1)
    }
  }
  for (const node of honest) expect(rttBetween(node.own, honest[0]!.own)).toBeLessThan(150)
})

test.each([
  ['a negative round trip', -1],
  ['one over ten seconds', 10_001],
  ['one that is no number', Number.NaN],
  ['an endless one', Number.POSITIVE_INFINITY],
])('%s is not believed', (_what, rtt) => {
  const node = createCoordinates(seededRandom(1))
  expect(node.observe(nodeNumber(1), ORIGIN, rtt)).toBe(false)
  expect(node).toMatchObject({ own: ORIGIN, observations: 0 })
})

test('a node has no place before it has measured one, and one afterwards', () => {
  const node = createCoordinates(seededRandom(1))
  expect(isPlaced(node.own)).toBe(false)
  node.observe(nodeNumber(1), ORIGIN, 10)
  expect(isPlaced(node.own)).toBe(true)
})

test('one late answer of a peer moves nobody: the median of the last three counts', () => {
  const settled = (last: number): Coordinate => {
    const node = createCoordinates(seededRandom(1))
    const there: Coordinate = { ...ORIGIN, vector: [0.01, 0, 0, 0, 0, 0, 0, 0], error: 0.1 }
    for (const rtt of [10, 10, last]) node.observe(nodeNumber(1), there, rtt)
    return node.own
  }
  expect(settled(3_000)).toEqual(settled(10))
})

test('a node that drifted out of range begins anew', () => {
  const node = createCoordinates(seededRandom(1))
  const edge: Coordinate = { vector: [5, 0, 0, 0, 0, 0, 0, 0], error: 0, adjustment: -10, height: 0 }
  for (let n = 0; node.resets === 0 && n < 10_000; n += 1) node.observe(nodeNumber(n % 3), edge, 10_000)
  expect(node.resets).toBe(1)
  expect(isSane(node.own)).toBe(true)
})

test('a packed coordinate comes out as it went in, to a single', () => {
  fc.assert(
    fc.property(inRange, coordinate => {
      const bytes = packCoordinate(coordinate)
      expect(bytes.byteLength).toBe(COORDINATE_BYTES)
      const back = unpackCoordinate(bytes)!
      expect(back.vector).toHaveLength(8)
      expect(packCoordinate(back)).toEqual(bytes)
      expect(rttBetween(back, ORIGIN)).toBeCloseTo(rttBetween(coordinate, ORIGIN), 3)
    }),
  )
})

test('bytes from outside are a coordinate in range or nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      const coordinate = unpackCoordinate(bytes)
      expect(coordinate === undefined || isSane(coordinate)).toBe(true)
    }),
  )
  const spoilt = (at: number, value: number): Uint8Array => {
    const bytes = packCoordinate(ORIGIN)
    new DataView(bytes.buffer).setFloat32(4 * at, value)
    return bytes
  }
  for (let at = 0; at < 11; at += 1)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -11, 11])
      expect(unpackCoordinate(spoilt(at, value))).toBeUndefined()
  expect(unpackCoordinate(spoilt(8, -0.1))).toBeUndefined()
  expect(unpackCoordinate(spoilt(9, 1.6))).toBeUndefined()
})
