import { expect, test } from 'vitest'
import { addTally, type Broken, newTally, type Options, PLANTED, runSchedule } from './ledger/index.ts'

// A slice of what `npm run sim:ledger -- --schedules 1000000` runs in full.

const sum = newTally()
const violations = (seeds: number, options: Options = {}, first = 1): string[] =>
  Array.from({ length: seeds }, (_, index) => {
    const seed = first + index
    const { violations, tally } = runSchedule(seed, options)
    addTally(sum, tally)
    return violations.map(violation => `seed ${seed}: ${violation}`)
  }).flat()

test('no schedule of crashes, pauses, partitions, late disks, set clocks, orders and intruders breaks I1 to I7 or agreement', () => {
  expect(violations(900)).toEqual([])
  const never = Object.entries(sum).filter(([, often]) => often === 0)
  expect(never, 'what has not taken place in any of them').toEqual([])
}, 120_000)

test.each([3, 5, 7])(
  'the same with %i voters',
  voters => {
    expect(violations(100, { voters }, 50_000)).toEqual([])
  },
  60_000,
)

test('the schedules do something: permits are granted in most of them and every plan ends', () => {
  const outcomes = Array.from({ length: 50 }, (_, index) => runSchedule(1 + index))
  expect(outcomes.every(outcome => outcome.finished)).toBe(true)
  expect(outcomes.filter(outcome => outcome.grants >= 3).length).toBeGreaterThan(30)
})

test('a seed is replayed exactly', () => {
  expect(runSchedule(77)).toEqual(runSchedule(77))
})

// Each check of the harness is seen to notice a system that is broken on purpose.
const CAUGHT: readonly [Broken, string, number][] = [
  ['permits-expire', 'two values are committed', 1],
  ['permits-expire', 'I1: ', 6],
  ['voters-forget', 'two values are committed', 5],
  ['voters-forget', 'I2: ', 5],
  ['voters-forget', 'I4: ', 11],
  ['reply-before-persist', 'two values are committed', 22],
  ['release-unbound', 'I2: ', 243_264],
  ['release-before-undrained', 'I2: ', 16],
  ['orders-unaddressed', 'I4: ', 2],
  ['turn-by-gossip', 'I1: ', 1],
  ['grant-without-re-read', 'I2: ', 114],
  ['earlier-answers-count', 'I2: ', 939_229],
  ['undo-outside-the-budget', 'I1: ', 9],
  ['unsigned-path', 'I3: ', 52],
  ['denied-forgotten', 'I6: ', 10],
  ['limit-ignored', 'I7: ', 7],
  ['recovery-of-the-known', 'I2: ', 113],
  ['recovery-of-the-living', 'I2: ', 8],
  ['deaf', 'I5: ', 1],
]
test.each(CAUGHT)('with %s it reports "%s"', (broken, violation, seed) => {
  expect(runSchedule(seed).violations).toEqual([])
  const { violations } = runSchedule(seed, { broken, seek: violation })
  expect(violations.some(text => text.startsWith(violation))).toBe(true)
})
test('every planted fault is reported, and each of I1 to I7 by one of them', () => {
  expect(new Set<string>(CAUGHT.map(([broken]) => broken))).toEqual(new Set(Object.keys(PLANTED)))
  const reported = CAUGHT.map(([, violation]) => violation.slice(0, 2)).filter(name => name.startsWith('I'))
  expect([...new Set(reported)].sort()).toEqual(['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7'])
})
