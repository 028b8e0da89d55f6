import fc from 'fast-check'
import { expect, test } from 'vitest'
import { examine, type Happening, mostAtOnce, type Sighting, type Trace } from './checker.ts'

/** One replacement as its node tells of it. */
function replacement(node: string, token: number, at: number): Happening[] {
  return [
    { node, at, what: 'permit-taken', token },
    { node, at: at + 10, what: 'disrupt-begin', token },
    { node, at: at + 100, what: 'stopped' },
    { node, at: at + 200, what: 'running', image: 'v2' },
    { node, at: at + 210, what: 'activated', token, generation: 1, image: 'v2' },
    { node, at: at + 500, what: 'disrupt-end', token },
    { node, at: at + 600, what: 'permit-returned', token },
  ]
}
const seen = (asked: number, version: number, permits: number[], nextToken: number, more = {}): Sighting => ({
  ...{ by: 'reader', asked, answered: asked + 20, epoch: 1, version, generation: 1, nextToken, permits },
  content: `${version} ${permits}`,
  ...more,
})
const GOOD: Trace = {
  k: 2,
  happenings: [...replacement('a', 1, 1_000), ...replacement('b', 2, 1_200), ...replacement('c', 3, 1_600)],
  sightings: [seen(900, 1, [], 1), seen(1_300, 3, [1, 2], 3), seen(1_900, 6, [3], 4), seen(3_000, 7, [], 4)],
}
const and = (...more: Happening[]): Trace => ({ ...GOOD, happenings: [...GOOD.happenings, ...more] })
const andSeen = (...more: Sighting[]): Trace => ({ ...GOOD, sightings: [...GOOD.sightings, ...more] })
const without = (node: string, ...what: Happening['what'][]): Trace => ({
  ...GOOD,
  happenings: GOOD.happenings.filter(one => one.node !== node || !what.includes(one.what)),
})

test('nothing is wrong with two at a time under growing tokens', () => {
  expect(examine(GOOD)).toEqual([])
})

test.each<[string, Trace, RegExp]>([
  ['three out of service at once', and(...replacement('d', 4, 1_250)), /^I1: 3 members .* at 1260/],
  [
    'three programs down at once, though no daemon says so',
    and({ node: 'd', at: 1_310, what: 'stopped' }, { node: 'e', at: 1_320, what: 'stopped' }),
    /^I1: 3 programs .* at 1320/,
  ],
  [
    'one that never came back',
    without('a', 'disrupt-end', 'running', 'activated', 'permit-returned'),
    /^I1: 3 members/,
  ],
  [
    'a program that is stopped under no permit',
    and({ node: 'd', at: 9_000, what: 'stopped' }),
    /^I2: the program of d/,
  ],
  ['a program that is still down when the permit goes back', without('c', 'running'), /^I2: the program of c/],
  ['a token of two nodes', and(...replacement('d', 1, 9_000)), /^I2: token 1 is used by a and by d/],
  [
    'a token that does not grow',
    and({ node: 'c', at: 9_000, what: 'permit-taken', token: 2 }),
    /^I2: c is given token 2/,
  ],
  ['a drain under a token that was not given', without('b', 'permit-taken'), /^I2: b goes out of service/],
  [
    'a token that is used twice',
    and({ node: 'a', at: 1_400, what: 'activated', token: 1, generation: 1, image: 'v2' }),
    /^I2: token 1 is used twice/,
  ],
  [
    'a replacement of an older generation',
    { ...and(...replacement('d', 4, 9_000)), sightings: [...GOOD.sightings, seen(3_500, 8, [], 4, { generation: 2 })] },
    /^I3: d goes down at 9100 for generation 1/,
  ],
  ['two values of one version', andSeen(seen(3_100, 7, [9], 4)), /^lost value: .* two values of version 1.7/],
  ['an answer that is older than one before it', andSeen(seen(3_100, 6, [3], 4)), /^lost value: .*1.6 after .* 1.7/],
  ['a version that is newer and knows less', andSeen(seen(3_100, 8, [], 3)), /^lost value: version 1.8 is behind/],
  ['a grant that is forgotten', andSeen(seen(1_710, 5, [], 3)), /^lost value: token 3 is not granted any more/],
  ['a permit that is lost while it is in use', andSeen(seen(1_320, 4, [2], 3)), /^lost value: a is out of service/],
  ['a permit that comes back', andSeen(seen(3_100, 8, [1], 4)), /^lost value: token 1 is held again/],
])('it reports %s', (_, trace, violation) => {
  expect(
    examine(trace).some(text => violation.test(text)),
    JSON.stringify(examine(trace)),
  ).toBe(true)
})

test('who was written off counts no more, and before that it does', () => {
  const gone = without('a', 'disrupt-end', 'running', 'activated', 'permit-returned')
  const sightings = GOOD.sightings.slice(0, 2)
  const off = (at: number): Trace => ({
    ...gone,
    happenings: [...gone.happenings, { node: 'a', at, what: 'written-off' }],
    sightings,
  })
  expect(examine(off(1_605))).toEqual([])
  expect(examine(off(1_615)).join()).toMatch(/I1: 3 members/)
})

test('the most at once is what counting at every moment finds', () => {
  const interval = fc.record({
    node: fc.constantFrom('a', 'b', 'c', 'd'),
    begin: fc.nat(30),
    long: fc.integer({ min: 1, max: 9 }),
  })
  fc.assert(
    fc.property(fc.array(interval), drawn => {
      const list = drawn.map(({ node, begin, long }) => ({ node, begin, end: begin + long }))
      const counted = Array.from(
        { length: 40 },
        (_, at) => new Set(list.filter(i => i.begin <= at && at < i.end).map(i => i.node)).size,
      )
      expect(mostAtOnce(list).count).toBe(Math.max(...counted))
    }),
  )
})
