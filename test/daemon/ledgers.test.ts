import { expect, test } from 'vitest'
import { isGivenUp } from '../../daemon/ledgers.ts'
import type { Millis } from '../../protocol/index.ts'

test('a voter is given up when somebody said that it is gone, or when it has been failed or unheard of for an hour', () => {
  const hour = 3_600_000
  const given = (status: 'alive' | 'failed' | 'left' | undefined, since: number, now: number, more = {}): boolean => {
    const member = status === undefined ? undefined : { status, since: since as Millis }
    return isGivenUp({ putOut: false, member, listening: 0 as Millis, ...more }, now as Millis)
  }
  expect(given('alive', 0, 9 * hour)).toBe(false)
  expect(given('alive', 0, 1, { putOut: true })).toBe(true)
  expect(given('left', 5, 6)).toBe(true)
  expect([given('failed', 5, hour), given('failed', 5, hour + 5)]).toEqual([false, true])
  expect([given(undefined, 0, hour - 1), given(undefined, 0, hour)]).toEqual([false, true])
  // What was so before this daemon began it cannot know.
  expect(given('failed', 5, hour + 5, { listening: 10 })).toBe(false)
})
