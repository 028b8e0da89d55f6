import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAllowance } from '../../membership/allowance.ts'
import { encodeFrame } from '../../membership/frames.ts'
import { millis } from '../../protocol/index.ts'
import { bench, nodeNumber, record, T0 } from './support.ts'

const [A, B] = [nodeNumber(1), nodeNumber(2)]

test('in no stretch of time does a peer get more than the burst and what has grown since, and one peer takes nothing from another', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(400), { minLength: 1, maxLength: 100 }), waits => {
      const allowance = createAllowance({ burst: 4, every: 250 })
      let now = T0
      const taken: number[] = []
      for (const wait of waits) {
        now += wait
        if (allowance.take(millis(now), A)) taken.push(now)
      }
      for (const [at, from] of taken.entries())
        for (const [more, to] of taken.slice(at).entries())
          expect(more + 1).toBeLessThanOrEqual(4 + (to - from) / 250 + 1e-6)
      expect(allowance.take(millis(now), B)).toBe(true)
    }),
  )
})

test('a peer that waits gets all it asks for', () => {
  const allowance = createAllowance({ burst: 4, every: 250 })
  for (let at = 0; at < 50; at++) expect(allowance.take(millis(T0 + at * 250), A)).toBe(true)
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
