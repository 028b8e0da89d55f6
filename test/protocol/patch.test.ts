import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyPatch, encode, makePatch, namesOf, PIECE, piecesOf, SALT, sha256 } from '../../protocol/index.ts'

const salt = Buffer.alloc(SALT, 7)
const like = (old: Uint8Array) => ({ pieces: piecesOf(old), names: namesOf(salt, piecesOf(old)) })

/** The same bytes in every run: where random ones are cut decides how much is sent. */
const bytesOf = (name: string, length: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 32) }, (_, at) => Buffer.from(sha256(Buffer.from(`${name} ${at}`)), 'hex')),
  ).subarray(0, length)

test('pieces are cut where they always were', () => {
  const bytes = bytesOf('piece', 8_192)
  expect(piecesOf(bytes).map(({ byteLength }) => byteLength)).toEqual([2082, 1030, 2017, 866, 964, 1233])
})

test('what is inserted, overwritten or cut out costs little more than itself', () => {
  const old = bytesOf('old', 80_000)
  const edited = Buffer.from(old)
  edited.set(bytesOf('edit', 4_096), 30_000)
  const { pieces, names } = like(old)
  for (const [chunk, most] of [
    [Buffer.concat([old.subarray(0, 30_000), bytesOf('more', 100), old.subarray(30_000)]), 5_000],
    [edited, 9_500],
    [Buffer.concat([old.subarray(0, 30_000), old.subarray(34_000)]), 5_000],
  ] as const) {
    const patch = makePatch(chunk, salt, names)!
    expect(patch.byteLength).toBeLessThan(most)
    expect(Buffer.compare(applyPatch(patch, pieces, chunk.byteLength), chunk)).toBe(0)
  }
})

test('there is no patch for what has nothing in common', () => {
  expect(makePatch(randomBytes(80_000), salt, like(randomBytes(80_000)).names)).toBeUndefined()
})

test('a patch makes the chunk, whatever is spliced from whatever, and pieces are never longer than they may be', () => {
  const part = fc.tuple(fc.nat(40_000), fc.nat(9_000), fc.boolean())
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), parts => {
      const old = randomBytes(50_000)
      const chunk = Buffer.concat(
        parts.map(([from, length, fresh]) => (fresh ? randomBytes(length) : old.subarray(from, from + length))),
      )
      const { pieces, names } = like(old)
      for (const piece of piecesOf(chunk)) expect(piece.byteLength).toBeLessThanOrEqual(PIECE.max)
      expect(Buffer.compare(Buffer.concat(piecesOf(chunk)), chunk)).toBe(0)
      const patch = makePatch(chunk, salt, names)
      if (patch !== undefined) expect(Buffer.compare(applyPatch(patch, pieces, chunk.byteLength), chunk)).toBe(0)
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['a piece that was not named', [[9], new Uint8Array()]],
  ['a piece before the first', [[-0.5], new Uint8Array(9)]],
  ['more of the rest than there is', [[-101], new Uint8Array(100)]],
  ['nothing at all', [[], new Uint8Array(100)]],
  ['too little', [[-99], new Uint8Array(99)]],
  ['too much', [[-60, -60], new Uint8Array(120)]],
  ['a name in place of a number', [['0'], new Uint8Array(100)]],
  ['no steps', [{ length: 1 }, new Uint8Array(100)]],
])('a patch with %s is refused', (_, patch) => {
  expect(() => applyPatch(encode(patch), [], 100)).toThrow(/patch/)
})
