import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BUCKETS, decodeFrame, decodeGossip, encodeFrame, encodeGossip, type Frame } from '../../membership/frames.ts'
import { type Digest, decode, encode, FleetError, LIMITS } from '../../protocol/index.ts'
import { nodeNumber } from './support.ts'

const word = fc.integer({ min: 0, max: 0xffff_ffff })
const node = fc.integer({ min: 0, max: 9 }).map(nodeNumber)
const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(bytes => Buffer.from(bytes).toString('hex') as Digest)
const rank = fc.tuple(fc.maxSafeNat(), fc.constantFrom(0 as const, 1 as const), fc.maxSafeNat(), word)
const key = fc.record({
  node,
  record: rank,
  vitals: fc.option(rank),
  claims: fc.array(word, { maxLength: 3 }),
})
const kind = fc.constantFrom(
  'record' as const,
  'vitals' as const,
  'suspicion' as const,
  'dismissal' as const,
  'document' as const,
)
const item = fc.tuple(kind, fc.uint8Array())
const members = fc.array(key, { maxLength: 5 })
const documents = fc.array(digest, { maxLength: 5 })
const single = (max: number, min = -max) => fc.float({ min, max, noNaN: true })
const coordinate = fc.record({
  vector: fc.array(single(10), { minLength: 8, maxLength: 8 }),
  error: single(1.5, 0),
  adjustment: single(10),
  height: single(10, 0),
})
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('probe' as const), serial: word }),
  fc.record({ type: fc.constant('ack' as const), serial: word, coordinate }),
  fc.record({ type: fc.constant('relay' as const), serial: word, subject: node }),
  fc.record({ type: fc.constant('relayed' as const), serial: word, alive: fc.boolean() }),
  fc.record({
    type: fc.constant('digest' as const),
    digests: fc.array(fc.integer(), { minLength: 2 * BUCKETS, maxLength: 2 * BUCKETS }),
  }),
  fc.record({
    type: fc.constant('keys' as const),
    buckets: fc.array(fc.integer({ min: 0, max: BUCKETS - 1 }), { maxLength: BUCKETS }),
    members,
    documents,
  }),
  fc.record({ type: fc.constant('offer' as const), members, documents }),
  fc.record({ type: fc.constant('want' as const), members: fc.array(node), documents }),
  fc.record({ type: fc.constant('items' as const), items: fc.array(item), last: fc.boolean() }),
)

/** Decoded bytes are a Buffer, which toEqual tells from the same bytes in a Uint8Array. */
const bytesAlike = (value: unknown): unknown =>
  value instanceof Uint8Array ? Uint8Array.from(value) : Array.isArray(value) ? value.map(bytesAlike) : fields(value)
const fields = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, bytesAlike(each)]))
    : value

test('every frame comes out as it went in', () => {
  fc.assert(
    fc.property(frame, each => {
      expect(bytesAlike(decodeFrame(encodeFrame(each)))).toEqual(bytesAlike(each))
    }),
  )
})

test('every gossiped statement comes out as it went in', () => {
  fc.assert(
    fc.property(item, each => {
      expect(bytesAlike(decodeGossip(encodeGossip(...each)))).toEqual(bytesAlike(each))
    }),
  )
})

test('garbage is refused with an error of ours, whatever it is', () => {
  const refused = (bytes: Uint8Array): void => {
    try {
      decodeFrame(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(FleetError)
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused))
  fc.assert(
    fc.property(
      fc.json().map(text => encode(JSON.parse(text))),
      refused,
    ),
  )
  // Frames with one byte changed decode to a frame or are refused, and never do anything else.
  fc.assert(
    fc.property(frame, fc.nat(), fc.nat({ max: 255 }), (each, at, byte) => {
      const bytes = Uint8Array.from(encodeFrame(each))
      bytes[at % bytes.length] = byte
      refused(bytes)
    }),
  )
})

test.each([
  ['another type', ['hello', 1]],
  ['a type that objects have', ['constructor', 1]],
  ['a serial past 32 bits', ['probe', 2 ** 33]],
  ['a serial that is no number', ['probe', 'x']],
  ['no coordinate', ['ack', 1]],
  ['a coordinate that is too short', ['ack', 1, new Uint8Array(43)]],
  ['a coordinate of NaN', ['ack', 1, new Uint8Array(44).fill(0xff)]],
  ['too few digests', ['digest', [1, 2]]],
  ['a bucket that there is not', ['keys', [BUCKETS], [], []]],
  ['a want of thousands', ['want', Array.from({ length: 5_000 }, () => 'x'), []]],
  ['one element too many', ['probe', 1, 2]],
])('a frame with %s is corrupt', (_what, value) => {
  expect(() => decodeFrame(encode(value))).toThrow(expect.objectContaining({ code: 'corrupt' }))
})

test('a frame over the limit is too large, and is not looked at', () => {
  expect(() => decodeFrame(new Uint8Array(LIMITS.linkFrame + 1))).toThrow(
    expect.objectContaining({ code: 'too-large' }),
  )
  expect(() => decode(new Uint8Array(2), 1)).toThrow(expect.objectContaining({ code: 'too-large' }))
})
