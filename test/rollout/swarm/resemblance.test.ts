import { expect, test } from 'vitest'
import { type ChunkRef, sha256 } from '../../../protocol/index.ts'
import { createResemblance } from '../../../rollout/index.ts'

/** Chunks by letters, each with a length of its own. */
const image = (letters: string, length = 60_000): ChunkRef[] =>
  [...letters].map(letter => ({ digest: sha256(Buffer.from(letter)), length: length + letter.charCodeAt(0) }))
const namesOf = (refs: readonly ChunkRef[]): string =>
  refs
    .map(({ digest }) => [...'abcdefghijklmnopqrstuvwxyz'].find(letter => sha256(Buffer.from(letter)) === digest))
    .join('')

test('one that changed is like the one in its place, and like two where they only overlap', () => {
  const like = createResemblance(image('abXde'), [image('abcde')])
  expect(namesOf(like(2))).toBe('c')
  const two = createResemblance([...image('ab'), ...image('X', 100_000), ...image('efg')], [image('abcdefg')])
  expect(namesOf(two(2))).toBe('cd')
})

test('at the end of a long change it is what stands as far before what is the same after', () => {
  const like = createResemblance(image('abVWXYZhi'), [image('abcdefghi')])
  expect(namesOf(like(2))).toContain('c')
  expect(namesOf(like(6))).toContain('g')
})

test('at both ends of an image something has a place too', () => {
  const like = createResemblance(image('XbcY'), [image('abcd')])
  expect([namesOf(like(0)), namesOf(like(3))]).toEqual(['a', 'd'])
})

test('nothing is like what is the same, what was inserted between two that are, or an image that has nothing in common', () => {
  expect(createResemblance(image('abc'), [image('abc')])(1)).toEqual([])
  expect(createResemblance(image('abXc'), [image('abc')])(2)).toEqual([])
  const other = createResemblance(image('XYZ'), [image('abc')])
  expect([0, 1, 2, 3, -1].flatMap(at => [...other(at)])).toEqual([])
})

test('of several it is the one with most in common', () => {
  expect(namesOf(createResemblance(image('abXd'), [image('azyd'), image('abcd')])(2))).toBe('c')
})
