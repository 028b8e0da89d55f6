import { expect, test } from 'vitest'
import { type Broken, runSchedule } from './ledger/index.ts'

// A slice of what `npm run sim:ledger -- --schedules 100000` runs in full.

const violations = (seeds: number, options: { voters?: number; broken?: Broken } = {}, first = 1): string[] =>
  Array.from({ length: seeds }, (_, index) => {
    const seed = first + index
    return runSchedule(seed, options).violations.map(violation => `seed ${seed}: ${violation}`)
  }).flat()

test('no schedule of crashes, pauses, partitions and late disks breaks I1, I2, I4 or agreement, and every one ends', () => {
  expect(violations(1_200)).toEqual([])
}, 120_000)

test.each([3, 5, 7])(
  'the same with %i voters',
  voters => {
    expect(violations(150, { voters }, 50_000)).toEqual([])
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
test.each<[Broken, string, number]>([
  ['permits-expire', 'two values are committed', 1],
  ['permits-expire', 'I1: ', 256],
  ['voters-forget', 'two values are committed', 38],
  ['voters-forget', 'I2: ', 792],
  ['voters-forget', 'I4: ', 155],
  ['reply-before-persist', 'two values are committed', 609],
  ['release-unbound', 'I1: ', 61_912],
])('with %s it reports "%s"', (broken, violation, seed) => {
  expect(runSchedule(seed).violations).toEqual([])
  expect(runSchedule(seed, { broken }).violations[0]).toContain(violation)
})
