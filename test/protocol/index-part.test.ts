import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeIndex, indexBytes, indexPart, LIMITS, type Manifest, sha256 } from '../../protocol/index.ts'

const refs = Array.from({ length: 50 }, (_, at) => ({ digest: sha256(Buffer.from(String(at))), length: at + 1 }))

test('a part of an index is what is there in the whole', () => {
  const whole = Buffer.from(encodeIndex(refs))
  fc.assert(
    fc.property(fc.nat(2_000), fc.nat(2_000), (from, length) => {
      expect(Buffer.from(indexPart(refs, from, from + length))).toEqual(whole.subarray(from, from + length))
    }),
  )
})

test('an image of more chunks than an index may name is too large', () => {
  const of = (chunks: number) => indexBytes({ name: 'shop', version: '1', chunks } as Manifest)
  expect(of(3)).toBe(108)
  expect(() => of(LIMITS.chunkIndex)).toThrow(expect.objectContaining({ code: 'too-large' }))
})
