import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Digest, type Millis, millis, sha256 } from '../../../protocol/index.ts'
import { decideCollection, type StoreState } from '../../../rollout/index.ts'

const digestOf = (name: string): Digest => sha256(Buffer.from(name))
const NOW = millis(1_000_000_000)
const HOUR = 3_600_000

/** Few chunks and images, so that they share much. */
const states = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 24 }),
    images: fc.array(
      fc.record({ chunks: fc.array(fc.nat(23), { maxLength: 12 }), age: fc.integer({ min: 0, max: 10 * HOUR }) }),
      { maxLength: 8 },
    ),
    absent: fc.uniqueArray(fc.nat(23)),
    roots: fc.uniqueArray(fc.nat(7)),
    held: fc.uniqueArray(fc.nat(23)),
    quota: fc.oneof(fc.nat(1500), fc.constant(Number.POSITIVE_INFINITY)),
    free: fc.nat(500),
    minFree: fc.nat(500),
  })
  .map(({ sizes, images, absent, roots, held, ...limits }): StoreState => {
    const chunk = (at: number): Digest => digestOf(`chunk ${at % sizes.length}`)
    const image = (at: number): Digest => digestOf(`image ${at}`)
    const gone = new Set(absent.map(chunk))
    return {
      images: images.map(({ chunks, age }, at) => ({
        digest: image(at),
        index: chunks.map(each => ({ digest: chunk(each), length: sizes[each % sizes.length]! })),
        usedAt: (NOW - age) as Millis,
      })),
      chunks: new Map(
        sizes.map((length, at) => [chunk(at), { length }] as const).filter(([digest]) => !gone.has(digest)),
      ),
      roots: new Set(roots.map(image)),
      held: new Set(held.map(chunk)),
      now: NOW,
      ...limits,
    }
  })
const options = fc.record({ room: fc.nat(300), all: fc.boolean() })

test('a collection takes neither a root, nor a chunk of an image that stays, nor a chunk of what is being made', () => {
  fc.assert(
    fc.property(states, options, (state, wanted) => {
      const { images, chunks, bytes } = decideCollection(state, wanted)
      const [going, gone] = [new Set(images), new Set(chunks)]
      for (const image of state.images) {
        if (state.roots.has(image.digest)) expect(going.has(image.digest)).toBe(false)
        if (going.has(image.digest)) continue
        for (const { digest } of image.index) expect(gone.has(digest)).toBe(false)
      }
      for (const chunk of gone) {
        expect(state.held.has(chunk)).toBe(false)
        expect(state.chunks.has(chunk)).toBe(true)
      }
      expect(bytes).toBe(chunks.reduce((sum, chunk) => sum + state.chunks.get(chunk)!.length, 0))
      expect(gone.size).toBe(chunks.length)
    }),
    { numRuns: 2_000 },
  )
})

test('what a collection leaves is enough, or there is nothing left that may go; and a second one right after it takes nothing', () => {
  fc.assert(
    fc.property(states, options, (state, wanted) => {
      const { images, chunks, bytes } = decideCollection(state, wanted)
      const [going, gone] = [new Set(images), new Set(chunks)]
      const after: StoreState = {
        ...state,
        images: state.images.filter(({ digest }) => !going.has(digest)),
        chunks: new Map([...state.chunks].filter(([chunk]) => !gone.has(chunk))),
        free: state.free + bytes,
      }
      const used = [...after.chunks.values()].reduce((sum, { length }) => sum + length, 0)
      const fits = used + wanted.room <= state.quota && after.free - wanted.room >= state.minFree
      const every = decideCollection(after, { all: true, room: wanted.room })
      const recent = new Set(after.images.filter(({ usedAt }) => usedAt + 60_000 > NOW).map(({ digest }) => digest))
      if (!fits && !wanted.all) {
        // All that is left to take hangs on images that were used just now.
        const old = decideCollection(
          { ...after, roots: { has: image => state.roots.has(image) || recent.has(image) } },
          { all: true },
        )
        expect(old.chunks).toEqual([])
      }
      if (wanted.all) expect(every).toEqual({ images: [], chunks: [], bytes: 0 })
      if (fits && !wanted.all) expect(decideCollection(after, wanted).chunks).toEqual([])
    }),
    { numRuns: 2_000 },
  )
})

const state = (change: Partial<StoreState>): StoreState => ({
  images: [],
  chunks: new Map(),
  roots: new Set(),
  held: new Set(),
  quota: 1_000,
  free: 10_000,
  minFree: 0,
  now: NOW,
  ...change,
})
const imageOf = (name: string, hoursAgo: number, ...chunks: string[]) => ({
  digest: digestOf(name),
  index: chunks.map(chunk => ({ digest: digestOf(chunk), length: 100 })),
  usedAt: (NOW - hoursAgo * HOUR) as Millis,
})
const of100 = (...chunks: string[]) => new Map(chunks.map(chunk => [digestOf(chunk), { length: 100 }]))

test('those used longest ago go first, and no more of them than there is need for', () => {
  const images = [imageOf('new', 1, 'a'), imageOf('old', 9, 'b'), imageOf('older', 10, 'c')]
  const chunks = of100('a', 'b', 'c')
  expect(decideCollection(state({ images, chunks, quota: 300 })).images).toEqual([])
  expect(decideCollection(state({ images, chunks, quota: 290 })).images).toEqual([digestOf('older')])
  expect(decideCollection(state({ images, chunks, quota: 300 }), { room: 100 }).images).toEqual([
    digestOf('older'),
    digestOf('old'),
  ])
  expect(decideCollection(state({ images, chunks, free: 50, minFree: 100 })).images).toEqual([digestOf('older')])
})

test('an image whose chunks others need is not removed to no effect, and of two that share, the chunks go with the second', () => {
  const images = [imageOf('twin', 10, 'a', 'b'), imageOf('root', 9, 'a', 'b'), imageOf('alone', 8, 'c')]
  const wanted = state({ images, chunks: of100('a', 'b', 'c'), roots: new Set([digestOf('root')]), quota: 250 })
  expect(decideCollection(wanted)).toEqual({ images: [digestOf('alone')], chunks: [digestOf('c')], bytes: 100 })
  const pair = state({ images: images.slice(0, 2), chunks: of100('a', 'b'), quota: 0 })
  expect(decideCollection(pair).bytes).toBe(200)
})

test('what was used within the last minute waits, unless everything is asked for', () => {
  const wanted = state({ images: [imageOf('fresh', 0, 'a')], chunks: of100('a'), quota: 0 })
  expect(decideCollection(wanted).images).toEqual([])
  expect(decideCollection(wanted, { all: true }).images).toEqual([digestOf('fresh')])
})

test('chunks that no image names go without need, but those of what is being made stay', () => {
  const wanted = state({ chunks: of100('left', 'making'), held: new Set([digestOf('making')]) })
  expect(decideCollection(wanted)).toEqual({ images: [], chunks: [digestOf('left')], bytes: 100 })
})
