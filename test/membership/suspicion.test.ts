import { expect, test } from 'vitest'
import { lan, suspicionTimeout } from '../../membership/index.ts'

test.each([
  [10, 10, 30],
  [30, 14.8, 44.3],
  [100, 20, 60],
  [1_000, 30, 90],
  [10_000, 40, 120],
])('with %i members a confirmed suspicion lasts %f s and a lone one %f s', (members, min, max) => {
  expect(suspicionTimeout(lan(), members, 2) / 1_000).toBeCloseTo(min, 0)
  expect(Math.abs(suspicionTimeout(lan(), members, 0) / 1_000 - max)).toBeLessThan(1)
})

test('each confirmation makes it shorter, and none makes it shorter than the least', () => {
  const lasts = [0, 1, 2, 3, 4].map(confirmations => suspicionTimeout(lan(), 50, confirmations))
  for (const [index, each] of lasts.entries()) expect(each).toBeLessThanOrEqual(lasts[index - 1] ?? each)
  expect(lasts[2]).toBeCloseTo(suspicionTimeout(lan(), 50, 100), 6)
  expect(lasts[4]).toBeCloseTo(lasts[2]!, 6)
})

test('where nobody could confirm, the least holds at once', () => {
  expect(suspicionTimeout(lan(), 2, 0)).toBe(10_000)
})
