import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createWheel } from './wheel.ts'

test('events come in order of time, those of one millisecond as they were added, however far ahead they were put', () => {
  const delay = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 100_000 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(delay, fc.array(delay, { maxLength: 3 })), { maxLength: 40 }), plan => {
      const start = 1_750_000_000_000
      const wheel = createWheel(start)
      const due: number[] = []
      const came: number[] = []
      let now = start
      const add = (after: number, then: readonly number[]): void => {
        const at = now + after
        due.push(at)
        wheel.add(at, () => {
          came.push(now)
          expect(now).toBe(at)
          for (const more of then) add(more, [])
        })
      }
      for (const [after, then] of plan) add(after, then)
      for (let end = start; end < start + 300_000; end += 7_000) {
        for (let next = wheel.next(end); next !== undefined; next = wheel.next(end)) {
          now = next.at
          next.run()
        }
        now = end
        if (end < start + 200_000) add(5, [])
      }
      expect(came).toEqual(due.sort((a, b) => a - b))
    }),
  )
})

test('events of one millisecond keep their order, and time is rounded up', () => {
  const wheel = createWheel(10)
  const came: string[] = []
  wheel.add(12, () => came.push('b'))
  wheel.add(11.5, () => came.push('c'))
  wheel.add(10, () => came.push('a'))
  for (let next = wheel.next(99); next !== undefined; next = wheel.next(99)) next.run()
  expect(came).toEqual(['a', 'b', 'c'])
})
