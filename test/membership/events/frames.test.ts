import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  BUCKETS,
  decodeEventFrame,
  type EventFrame,
  encodeEventFrame,
  isEventFrame,
} from '../../../membership/events/frames.ts'
import { decodeFrame, encodeFrame } from '../../../membership/frames.ts'
import { FleetError } from '../../../protocol/index.ts'
import { nodeNumber } from '../support.ts'

const node = fc.nat({ max: 50 }).map(nodeNumber)
const count = fc.maxSafeNat()
const triple = fc.tuple(node, count, count)
const word = fc.integer({ min: 0, max: 0xffff_ffff })
const frame: fc.Arbitrary<EventFrame> = fc.oneof(
  fc.record({
    type: fc.constant('digest' as const),
    digests: fc.array(word, { minLength: BUCKETS, maxLength: BUCKETS }),
  }),
  fc.record({
    type: fc.constant('vector' as const),
    buckets: fc.array(fc.integer({ min: 0, max: BUCKETS - 1 }), { maxLength: BUCKETS }),
    entries: fc.array(triple, { maxLength: 20 }),
    last: fc.boolean(),
  }),
  fc.record({ type: fc.constant('ahead' as const), entries: fc.array(triple, { maxLength: 20 }) }),
  fc.record({ type: fc.constant('want' as const), ranges: fc.array(triple, { maxLength: 20 }) }),
  fc.record({
    type: fc.constant('items' as const),
    items: fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }),
    last: fc.boolean(),
    more: fc.boolean(),
  }),
)

test('a frame comes back as it was', () => {
  fc.assert(
    fc.property(frame, each => {
      const bytes = encodeEventFrame(each)
      expect(isEventFrame(bytes)).toBe(true)
      expect(JSON.stringify(decodeEventFrame(bytes))).toBe(JSON.stringify(each))
    }),
  )
})

test('what is no frame is refused, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, marked) => {
      const given = marked ? Uint8Array.of(0xc1, ...bytes) : bytes
      try {
        decodeEventFrame(given)
      } catch (error) {
        expect(error).toBeInstanceOf(FleetError)
      }
    }),
    { numRuns: 1_000 },
  )
  for (const bad of [
    { type: 'digest', digests: [1] },
    { type: 'want', ranges: [[nodeNumber(1), -1, 2]] },
  ])
    expect(() => decodeEventFrame(encodeEventFrame(bad as unknown as EventFrame))).toThrow(/malformed/)
})

test('frames of membership and of events are never taken for each other', () => {
  const ours = encodeEventFrame({ type: 'want', ranges: [] })
  const theirs = encodeFrame({ type: 'probe', serial: 1 })
  expect(isEventFrame(theirs)).toBe(false)
  expect(() => decodeEventFrame(theirs)).toThrow(FleetError)
  expect(() => decodeFrame(ours)).toThrow(FleetError)
})
