import { afterEach, beforeEach, expect, test } from 'vitest'
import { createScrub, type Scrub } from '../../../daemon/images/scrub.ts'
import { type Digest, FleetError } from '../../../protocol/index.ts'
import { type ImageStore, openStore, type StoredImage, type VerifiedChunk } from '../../../rollout/index.ts'
import { imageOf, isWhole, memoryMetadata, noise, type Scratch, scratch } from '../../rollout/images/support.ts'
import { rotChunk } from '../../support/store.ts'
import { quiet } from '../network/support.ts'

const KIB = 1024
let box: Scratch
let store: ImageStore
let image: StoredImage
let scrub: Scrub
/** What a peer has. */
let peer: Map<Digest, VerifiedChunk>
let asked: number[][]

beforeEach(async () => {
  box = await scratch()
  store = await openStore(box.dir, memoryMetadata(), { onDamaged: chunk => scrub.found(chunk) })
  const { digest } = await imageOf(store, box.dir, 'shop', noise(1500 * KIB, 1))
  image = store.image(digest)!
  peer = new Map()
  for (const { digest: chunk } of image.index) peer.set(chunk, (await store.get(chunk))!)
  asked = []
  scrub = createScrub({
    store,
    async mend(of, indexes) {
      asked.push([...indexes])
      for (const at of indexes) {
        const chunk = peer.get(of.index[at]!.digest)
        if (chunk === undefined) throw new FleetError('unavailable', 'no member has it')
        await store.put(chunk)
      }
    },
    log: quiet,
    start: 200,
    every: 3_600_000,
    atATime: 400 * KIB,
  })
})
afterEach(async () => {
  await scrub.stop()
  await box.close()
})

/** Flips a bit of a chunk on the disk, behind the store's back. */
function rot(at: number): Digest {
  const chunk = image.index[at]!.digest
  rotChunk(box.dir, chunk)
  return chunk
}
/** A whole pass over the disk. */
async function pass(): Promise<void> {
  const before = scrub.stats().read
  while (scrub.stats().read < before + image.index.length) await scrub.next()
}

test('a pass reads every chunk, a bounded part at a time, and finds nothing where all is well', async () => {
  await scrub.next()
  const { read } = scrub.stats()
  expect(read).toBeGreaterThan(0)
  expect(read).toBeLessThan(image.index.length)
  await pass()
  expect(scrub.stats()).toMatchObject({ damaged: 0, mended: 0, lacking: 0 })
  expect(asked).toEqual([])
})

test('a bit that flipped is found, and exactly that chunk comes from a peer', async () => {
  rot(3)
  await pass()
  expect(asked).toEqual([[3]])
  expect(scrub.stats()).toMatchObject({ damaged: 1, mended: 1, lacking: 0 })
  expect(await isWhole(store, image.digest)).toBe(true)
})

test('where no peer has it, it is told and not offered, and mended once one has', async () => {
  const chunk = rot(5)
  const kept = peer.get(chunk)!
  peer.delete(chunk)
  await pass()
  expect(store.has(chunk)).toBe(false)
  expect(scrub.stats()).toMatchObject({ damaged: 1, mended: 0, lacking: 1 })
  peer.set(chunk, kept)
  await scrub.next()
  expect(scrub.stats()).toMatchObject({ damaged: 1, mended: 1, lacking: 0 })
  expect(await isWhole(store, image.digest)).toBe(true)
})

test('damage that somebody else stumbled on is mended too, and of an image that went nothing is asked', async () => {
  const chunk = rot(2)
  await expect(store.get(chunk)).rejects.toMatchObject({ code: 'corrupt' })
  expect(scrub.stats()).toMatchObject({ damaged: 1, lacking: 1 })
  await scrub.next()
  expect(scrub.stats()).toMatchObject({ mended: 1, lacking: 0 })
  await store.reclaim() // the pack with the damaged one has been written anew
  const other = rot(4)
  await expect(store.get(other)).rejects.toMatchObject({ code: 'corrupt' })
  await store.remove({ images: [image.digest], chunks: [] })
  asked.length = 0
  await scrub.next()
  expect(asked).toEqual([])
  expect(scrub.stats()).toMatchObject({ damaged: 2, mended: 1, lacking: 0 })
})
