import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBucket } from '../../membership/bucket.ts'
import { encodeFrame } from '../../membership/frames.ts'
import { millis } from '../../protocol/index.ts'
import { bench, nodeNumber, record, T0 } from './support.ts'

const A = nodeNumber(1)

test('in no stretch of time is more taken than the burst and what has come since, and what is not taken costs nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ wait: fc.nat(400), amount: fc.integer({ min: 1, max: 4 }) }), {
        minLength: 1,
        maxLength: 60,
      }),
      asks => {
        const bucket = createBucket(4, 4)
        let now = T0
        const taken: { at: number; amount: number }[] = []
        for (const { wait, amount } of asks) {
          now += wait
          const at = bucket.readyAt(millis(now), amount)
          const got = bucket.take(millis(now), amount)
          expect(got).toBe(at <= now)
          if (got) taken.push({ at: now, amount })
        }
        for (const [first, { at: from }] of taken.entries()) {
          let sum = 0
          for (const { at, amount } of taken.slice(first)) {
            sum += amount
            expect(sum).toBeLessThanOrEqual(4 + (4 * (at - from)) / 1_000 + 1e-6)
          }
        }
      },
    ),
    {
      // Of fractions that had been added up, 1 less a rounding error was left: ready, and not to be had.
      examples: [
        [[0, 375, 266, 172, 104, 348, 303, 137, 45, 0].map((wait, nth) => ({ wait, amount: nth === 0 ? 2 : 1 }))],
      ],
    },
  )
})

test('who waits until it is ready gets all it asks for', () => {
  const bucket = createBucket(4, 4)
  let now = T0
  for (let times = 0; times < 50; times++) {
    now = Math.max(now, bucket.readyAt(millis(now), 3))
    expect(bucket.take(millis(now), 3)).toBe(true)
  }
  expect(now - T0).toBeGreaterThan(30_000)
})

test('a neighbour that floods its link with digests is answered now and then', () => {
  const one = bench()
  one.hear({ kind: 'record', statement: record(A) })
  one.give({ type: 'linkUp', peer: A })
  const digest = encodeFrame({ type: 'digest', digests: Array.from({ length: 128 }, () => 1) })
  let answers = 0
  for (let times = 0; times < 1_000; times++)
    if (one.give({ type: 'frame', peer: A, frame: digest }).some(effect => effect.type === 'send')) answers += 1
  expect(answers).toBeGreaterThan(0)
  expect(answers).toBeLessThan(32)
  one.now += 1_000
  expect(one.give({ type: 'frame', peer: A, frame: digest }).some(effect => effect.type === 'send')).toBe(true)
})
