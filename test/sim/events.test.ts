import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Fault, type Options, runEvents } from './events-world.ts'

const ROUGH: Options = {
  seed: 1,
  nodes: 6,
  events: 120,
  length: 20_000,
  loss: 0.3,
  duplication: 0.2,
  crashes: 6,
  cuts: 3,
  cutLength: 6_000,
}
const lost = (run: ReturnType<typeof runEvents>): number =>
  run.logs.flatMap(({ items }) => items.filter(({ type }) => type === 'lost')).length

test('under loss, doubles, reordering, crashes and cuts each event is delivered once at each node, in order, and none is missed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 30 }), seed => {
      const run = runEvents({ ...ROUGH, seed })
      expect(run.broken).toEqual([])
      expect(lost(run)).toBe(0)
    }),
    { numRuns: 25 },
  )
}, 120_000)

test('with a buffer that forgets during long cuts, what is missed is said to be lost, and order and single delivery hold', () => {
  let gone = 0
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 30 }), seed => {
      const run = runEvents({ ...ROUGH, seed, cuts: 4, cutLength: 30_000, bounds: { count: 12, bytes: 8_192 } })
      gone += lost(run)
      // What every buffer forgot of an author that fires no more is missed without a word: nobody is left to ask.
      expect(run.broken.filter(sentence => !sentence.endsWith('never came'))).toEqual([])
    }),
    { numRuns: 25 },
  )
  expect(gone).toBeGreaterThan(0)
}, 120_000)

describe('nodes that are built wrong are noticed', () => {
  const sentences: Record<Fault, RegExp> = {
    forgets: /delivered (twice|late)/,
    disorder: /which it comes before/,
    hasty: /two events|never came/,
    deaf: /never came/,
  }
  for (const [fault, sentence] of Object.entries(sentences) as [Fault, RegExp][])
    test(`${fault}`, () => {
      const found = [1, 2, 3, 4, 5].flatMap(seed => runEvents({ ...ROUGH, seed, fault }).broken)
      expect(found.filter(each => sentence.test(each)).length).toBeGreaterThan(0)
    })
})
