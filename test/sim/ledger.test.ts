import { expect, test } from 'vitest'
import { type Broken, type Options, PLANTED, runSchedule } from './ledger/index.ts'

// A slice of what `npm run sim:ledger -- --schedules 1000000` runs in full.

const violations = (seeds: number, options: Options = {}, first = 1): string[] =>
  Array.from({ length: seeds }, (_, index) => {
    const seed = first + index
    return runSchedule(seed, options).violations.map(violation => `seed ${seed}: ${violation}`)
  }).flat()

test('no schedule of crashes, pauses, partitions, late disks, set clocks, orders and intruders breaks I1 to I7 or agreement', () => {
  expect(violations(1_000)).toEqual([])
}, 120_000)

test.each([3, 5, 7])(
  'the same with %i voters',
  voters => {
    expect(violations(120, { voters }, 50_000)).toEqual([])
  },
  60_000,
)

// Each was a violation once, and is one thing that had to be mended.
test.each([
  [12, 'the last permit of a stage comes back while the rollout is paused'],
  [61, 'a plan names a host that was written off'],
  [296, 'a host runs the image already, and the rollout has turned before that is heard'],
  [4_348, 'another plan begins while a host verifies its image'],
  [1_008_032, 'the canary was written off before the plan began'],
])('seed %i ends: %s', seed => {
  expect(runSchedule(seed)).toMatchObject({ violations: [], finished: true })
})

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
  ['permits-expire', 'I1: ', 4],
  ['voters-forget', 'two values are committed', 5],
  ['voters-forget', 'I2: ', 5],
  ['voters-forget', 'I4: ', 12],
  ['reply-before-persist', 'two values are committed', 9],
  ['turn-by-gossip', 'I1: ', 1],
  ['grant-without-re-read', 'I2: ', 16],
  ['undo-outside-the-budget', 'I1: ', 34],
  ['unsigned-path', 'I3: ', 31],
  ['denied-forgotten', 'I6: ', 30],
  ['limit-ignored', 'I7: ', 4],
  ['deaf', 'I5: ', 1],
]
test.each(CAUGHT)('with %s it reports "%s"', (broken, violation, seed) => {
  expect(runSchedule(seed).violations).toEqual([])
  const { violations } = runSchedule(seed, { broken, seek: violation })
  expect(violations.some(text => text.startsWith(violation))).toBe(true)
})
test('every planted fault is reported', () => {
  expect(new Set(CAUGHT.map(([broken]) => broken))).toEqual(new Set(Object.keys(PLANTED)))
})
