import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Awareness, createAwareness } from '../../membership/awareness.ts'

test.each<[string, (awareness: Awareness) => void, number]>([
  ['a probe that neither subject nor relays answered', each => each.nobodyAnswered(), 1],
  ['having to refute', each => each.refuted(), 1],
  ['an answer', each => each.probeAnswered(), -1],
  ['an event loop that was held for less than a quarter of a second', each => each.loopDelay(249), 0],
  ['one that was held for a quarter of a second', each => each.loopDelay(250), 1],
  ['one that was held for a second', each => each.loopDelay(1_000), 4],
])('%s moves the score', (_what, happen, by) => {
  const awareness = createAwareness()
  awareness.refuted()
  awareness.refuted()
  happen(awareness)
  expect(awareness.score).toBe(2 + by)
})

test('the score is 0 to 8, whatever happens', () => {
  const step = fc.oneof(
    fc.constantFrom('probeAnswered' as const, 'nobodyAnswered' as const, 'refuted' as const),
    fc.double({ min: 0, max: 1e9, noNaN: true }),
  )
  fc.assert(
    fc.property(fc.array(step), steps => {
      const awareness = createAwareness()
      for (const each of steps) {
        if (typeof each === 'number') awareness.loopDelay(each)
        else awareness[each]()
        expect(awareness.score).toBeGreaterThanOrEqual(0)
        expect(awareness.score).toBeLessThanOrEqual(8)
        expect(Number.isInteger(awareness.score)).toBe(true)
      }
    }),
  )
})
