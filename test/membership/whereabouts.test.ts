import { expect, test } from 'vitest'
import { ORIGIN } from '../../membership/coordinates.ts'
import { createWhereabouts } from '../../membership/whereabouts.ts'
import { type Coordinate, millis } from '../../protocol/index.ts'
import { T0 } from './support.ts'

const at = (seconds: number): Coordinate => ({ ...ORIGIN, error: 0.2, vector: [seconds, 0, 0, 0, 0, 0, 0, 0] })
const time = (seconds: number) => millis(T0 + 1_000 * seconds)

test('nothing is said before something is known', () => {
  const where = createWhereabouts()
  where.moved(time(0), ORIGIN)
  expect(where.due(time(3_600))).toBe(false)
  expect(where.say(time(3_600))).toBeUndefined()
})

test('the first place is said five seconds after it is known', () => {
  const where = createWhereabouts()
  where.moved(time(0), at(0.001))
  expect(where.due(time(4))).toBe(false)
  expect(where.due(time(5))).toBe(true)
  expect(where.say(time(5))).toEqual(at(0.001))
  expect(where.due(time(5))).toBe(false)
})

test('a node that stays where it said it is says nothing more', () => {
  const where = createWhereabouts()
  where.moved(time(0), at(0.001))
  where.say(time(5))
  for (let hour = 1; hour < 48; hour += 1) {
    where.moved(time(3_600 * hour), at(0.0019))
    expect(where.due(time(3_600 * hour))).toBe(false)
  }
})

test('one that never comes to rest speaks more and more seldom, down to once an hour', () => {
  const where = createWhereabouts()
  const said: number[] = []
  for (let second = 0; second < 24 * 3_600; second += 10) {
    where.moved(time(second), at(second % 20 === 0 ? 0.001 : 0.003))
    if (!where.due(time(second))) continue
    where.say(time(second))
    said.push(second)
  }
  const gaps = said.slice(1).map((second, index) => second - said[index]!)
  for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(gaps[index - 1] ?? 0)
  expect(said.filter(second => second < 3_600).length).toBeLessThanOrEqual(5)
  expect(said.length).toBeLessThanOrEqual(5 + 24)
  expect(gaps.at(-1)).toBeGreaterThanOrEqual(3_600)
})

test('a jump is told after a minute, however long nothing was', () => {
  const where = createWhereabouts()
  for (let second = 0; second < 40_000; second += 10) {
    where.moved(time(second), at(second % 20 === 0 ? 0.001 : 0.003))
    if (where.due(time(second))) where.say(time(second))
  }
  where.say(time(40_000))
  where.moved(time(40_010), at(0.2))
  expect(where.due(time(40_059))).toBe(false)
  expect(where.due(time(40_060))).toBe(true)
})
