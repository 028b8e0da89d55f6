import { expect, test } from 'vitest'
import { type ChunkRef, chunksNamed, gapsIn, sha256, shortNames } from '../../protocol/index.ts'

const refs: readonly ChunkRef[] = Array.from({ length: 50 }, (_, at) => ({
  digest: sha256(Buffer.from(String(at))),
  length: 1 + at,
}))

test('chunks that are known are found by their short names, also one that is there twice, and the rest is told as runs', () => {
  const image = [...refs.slice(0, 20), refs[3]!]
  const found = chunksNamed(shortNames(image), [...refs.slice(0, 5), ...refs.slice(7, 15), ...refs.slice(30)])
  expect(found).toEqual(image.map((ref, at) => (at < 5 || (at >= 7 && at < 15) || at === 20 ? ref : undefined)))
  expect(gapsIn(found)).toEqual([
    [5, 2],
    [15, 5],
  ])
})

test('names of a part are those of its chunks, and what is no whole name counts for nothing', () => {
  expect(Buffer.concat([shortNames(refs, 0, 30), shortNames(refs, 30, 99)])).toEqual(shortNames(refs))
  expect(chunksNamed(shortNames(refs).subarray(0, 13), refs)).toEqual(refs.slice(0, 2))
})
