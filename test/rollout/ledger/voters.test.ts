import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { NodeId } from '../../../protocol/index.ts'
import { type Candidate, nextVoters } from '../../../rollout/index.ts'
import { NODES } from './fixtures.ts'

const steady = (index: number, zone = 'z', group = 'web'): Candidate => ({
  node: NODES[index]!,
  zone,
  group,
  steady: true,
})
const one = NODES.slice(0, 1)
const grow = (
  group: string,
  voters: readonly NodeId[],
  candidates: readonly Candidate[],
  gone: readonly number[] = [],
) => nextVoters(group, voters, candidates, node => gone.some(index => NODES[index] === node))
const all = (...indices: number[]): Candidate[] => indices.map(index => steady(index))
const nodes = (...indices: number[]): NodeId[] => indices.map(index => NODES[index]!)

test('one voter becomes three and then five as members appear', () => {
  expect(grow('web', one, [steady(0)])).toBeUndefined()
  expect(grow('web', one, [steady(0), steady(1)])).toBeUndefined()
  expect(grow('web', one, [steady(0), steady(1), steady(2)])).toEqual(NODES.slice(0, 3))
  expect(
    grow(
      'web',
      NODES.slice(0, 3),
      [0, 1, 2, 3, 4, 5].map(index => steady(index)),
    ),
  ).toEqual(NODES.slice(0, 5))
  expect(
    grow(
      'web',
      NODES.slice(0, 5),
      [0, 1, 2, 3, 4, 5, 6].map(index => steady(index)),
    ),
  ).toBeUndefined()
})

test('voters are spread over zones, and the group has its own before others', () => {
  const chosen = grow('web', one, [steady(0, 'a'), steady(1, 'a'), steady(2, 'a'), steady(3, 'b'), steady(4, 'c')])!
  expect(chosen.slice(0, 3)).toEqual([NODES[0], NODES[3], NODES[4]])
  expect(grow('web', one, [steady(0), steady(1, 'b', 'db'), steady(2), steady(3)])).toEqual([
    NODES[0],
    NODES[2],
    NODES[3],
  ])
})

test('while a voter is away nothing is changed, and who is mostly away never becomes one', () => {
  expect(grow('web', one, [{ ...steady(0), steady: false }, steady(1), steady(2)])).toBeUndefined()
  expect(grow('web', one, [steady(0), { ...steady(1), steady: false }, steady(2)])).toBeUndefined()
})

test('a voter that is gone for good gives its place to another, whether it is there or not', () => {
  expect(grow('web', nodes(0, 1, 2), all(0, 1, 3), [2])).toEqual(nodes(0, 1, 3))
  expect(grow('web', nodes(0, 1, 2), all(0, 1, 2, 3), [2])).toEqual(nodes(0, 1, 3))
  expect(grow('web', nodes(0, 1, 2, 3, 4), all(0, 1, 2, 5), [3, 4])).toEqual(nodes(0, 1, 2))
  expect(grow('web', nodes(0, 1, 2, 3, 4), all(0, 1, 2, 5, 6), [3, 4])).toEqual(nodes(0, 1, 2, 5, 6))
})

test('nothing is changed for no gain, without a majority of those who vote now, or while another is away', () => {
  expect(grow('web', nodes(0, 1, 2), all(0, 1), [2])).toBeUndefined()
  expect(grow('web', nodes(0, 1, 2, 3, 4), all(0, 1, 2, 3), [4])).toBeUndefined()
  expect(grow('web', nodes(0, 1, 2), all(0, 3, 4, 5), [1, 2])).toBeUndefined()
  expect(grow('web', nodes(0, 1, 2, 3, 4), all(0, 1, 2, 5, 6), [4])).toBeUndefined()
  expect(grow('web', one, all(1, 2, 3), [0])).toBeUndefined()
})

test('while nobody is gone it only adds, always to an odd number, and never a member that is not steady', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([1, 3, 5] as const, { minLength: 1, maxLength: 1 }),
      fc.array(fc.record({ steady: fc.boolean(), zone: fc.constantFrom('a', 'b', 'c') }), {
        minLength: 7,
        maxLength: 7,
      }),
      ([count], flags) => {
        const voters = NODES.slice(0, count)
        const candidates = flags.map((flag, index) => ({ node: NODES[index]!, group: 'web', ...flag }))
        const next = grow('web', voters, candidates)
        if (next === undefined) return
        expect(next.slice(0, voters.length)).toEqual(voters)
        expect([3, 5]).toContain(next.length)
        expect(new Set(next).size).toBe(next.length)
        expect(next.every(node => candidates.find(candidate => candidate.node === node)!.steady)).toBe(true)
      },
    ),
  )
})
