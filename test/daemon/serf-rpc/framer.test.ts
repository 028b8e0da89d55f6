import { encode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeMap } from '../../../daemon/serf-rpc/codec.ts'
import { createFramer } from '../../../daemon/serf-rpc/framer.ts'
import { FleetError } from '../../../protocol/index.ts'

const LIMIT = 4096

/** What comes out of a framer that is given `bytes` in pieces. */
function cut(bytes: Uint8Array, pieces: readonly number[], limit = LIMIT): Uint8Array[] {
  const framer = createFramer(() => limit)
  const values: Uint8Array[] = []
  let at = 0
  for (const size of [...pieces, bytes.byteLength]) {
    values.push(...framer(bytes.subarray(at, at + size)))
    at = Math.min(bytes.byteLength, at + size)
  }
  return values
}

const leaf = fc.oneof(
  fc.string(),
  fc.uint8Array({ maxLength: 300 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
)
const value = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 40 }),
  fc.dictionary(
    fc.string({ minLength: 1 }).filter(key => key !== '__proto__'),
    fc.oneof(leaf, fc.array(leaf)),
    {
      maxKeys: 20,
    },
  ),
)
const pieces = fc.array(fc.integer({ min: 0, max: 64 }), { maxLength: 200 })

test('values come out whole, in order and as they were put in, wherever the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 8 }), pieces, (values, sizes) => {
      const encoded = values.map(one => encode(one))
      const whole = new Uint8Array(Buffer.concat(encoded))
      expect(cut(whole, sizes, 1 << 20)).toEqual(encoded.map(bytes => new Uint8Array(bytes)))
    }),
  )
})

test('any bytes at all are cut, waited for or refused with a FleetError, by the framer or the decoder', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), pieces, (bytes, sizes) => {
      try {
        for (const one of cut(bytes, sizes, 512)) {
          expect(one.byteLength).toBeLessThanOrEqual(512)
          decodeMap(one)
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FleetError)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('however the pieces are cut, the outcome is the same', () => {
  const outcome = (bytes: Uint8Array, sizes: readonly number[]): unknown => {
    try {
      return cut(bytes, sizes, 512).map(one => Buffer.from(one).toString('hex'))
    } catch (error) {
      return (error as FleetError).code
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), pieces, (bytes, sizes) => {
      expect(outcome(bytes, sizes)).toEqual(outcome(bytes, []))
    }),
    { numRuns: 1_000 },
  )
})

test('a value that says it will be too large is refused before it comes', () => {
  for (const announced of ['db7fffffff', 'c6ffffffff', 'ddffffffff', 'dfffffffff', 'da1001']) {
    expect(() => [...createFramer(() => LIMIT)(Buffer.from(announced, 'hex'))]).toThrow('over the limit of 4096 bytes')
  }
})

test('many small values in one piece do not add up to one that is too large', () => {
  const small = encode(['abc'])
  const many = Buffer.concat(Array<Uint8Array>(10_000).fill(small))
  expect(cut(many, [])).toHaveLength(10_000)
})

test('extension types, the unused tag and deep nesting are refused', () => {
  const refused = (hex: string, why: string): void =>
    expect(() => [...createFramer(() => LIMIT)(Buffer.from(hex, 'hex'))]).toThrow(why)
  for (const tag of ['c1', 'c7', 'c8', 'c9', 'd4', 'd5', 'd6', 'd7', 'd8']) refused(`${tag}00000000`, 'extension type')
  refused('919191919190', 'nested deeper than 4')
})
