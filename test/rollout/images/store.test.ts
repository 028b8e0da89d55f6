import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Digest, FleetError, millis, sha256 } from '../../../protocol/index.ts'
import {
  createSpace,
  decideCollection,
  HEADROOM,
  type ImageStore,
  openStore,
  type SpaceInit,
  type VerifiedChunk,
  verifyChunk,
} from '../../../rollout/index.ts'
import { rotChunk } from '../../support/store.ts'
import { imageOf, isWhole, memoryMetadata, noise, type Scratch, scratch } from './support.ts'

const KIB = 1024
let box: Scratch
beforeEach(async () => {
  box = await scratch()
})
afterEach(() => box.close())

const chunkOf = (bytes: Uint8Array): VerifiedChunk => verifyChunk(sha256(bytes), bytes)!
function spaceOf(store: ImageStore, change: Partial<SpaceInit> = {}) {
  const collected: number[] = []
  const space = createSpace({
    store,
    directory: box.dir,
    limits: () => ({ quota: { bytes: 1024 * KIB }, minFree: { bytes: 0 } }),
    roots: () => new Set<Digest>(),
    now: () => millis(Date.now() + 3_600_000),
    onCollected: ({ images }) => void collected.push(images.length),
    ...change,
  })
  return { space, collected }
}

test('two images that share chunks keep them on the disk once, and the removal of one leaves the other whole', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  const { space } = spaceOf(store)
  const common = noise(600 * KIB, 1)
  const a = await imageOf(store, box.dir, 'a', common)
  const b = await imageOf(store, box.dir, 'b', Buffer.concat([common, noise(100 * KIB, 2)]))
  expect(store.bytes()).toBeLessThan(900 * KIB)
  await store.remove({ images: [b.digest], chunks: [] })
  await space.collect({})
  expect(await isWhole(store, a.digest)).toBe(true)
  expect(store.image(b.digest)).toBeUndefined()
  expect(store.bytes()).toBe(600 * KIB)
})

test('a store that is opened again has what it had, and knows how much that is', async () => {
  const metadata = memoryMetadata()
  const store = await openStore(box.dir, metadata)
  const { digest } = await imageOf(store, box.dir, 'a', noise(300 * KIB, 1))
  await store.put(chunkOf(noise(20 * KIB, 2)))
  const again = await openStore(box.dir, metadata)
  expect(again.bytes()).toBe(320 * KIB)
  expect(await isWhole(again, digest)).toBe(true)
})

test('what is being made is not collected, also when it was on the disk before and no image names it any more', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  const { space } = spaceOf(store)
  const [old, fresh] = [chunkOf(noise(20 * KIB, 1)), chunkOf(noise(20 * KIB, 2))]
  await store.put(old)
  const hold = store.hold()
  for (const chunk of [old, fresh]) {
    hold.keep(chunk.digest)
    if (!store.has(chunk.digest)) await store.put(chunk)
  }
  await space.collect({ all: true })
  expect(store.has(old.digest) && store.has(fresh.digest)).toBe(true)
  hold.release()
  await space.collect({ all: true })
  expect(store.has(old.digest) || store.has(fresh.digest)).toBe(false)
  expect(store.bytes()).toBe(0)
})

test('a chunk that is put again while it is being removed is on the disk in the end', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  const chunk = chunkOf(noise(64 * KIB, 1))
  for (let round = 0; round < 12; round++) {
    await store.put(chunk)
    const removing = store.remove({ images: [], chunks: [chunk.digest] })
    expect(store.has(chunk.digest)).toBe(false)
    await Promise.all([removing, store.put(chunk)])
    expect((await store.get(chunk.digest))?.bytes).toEqual(chunk.bytes)
  }
})

test('an image that is made again while it is being removed is known in the end, now and after a restart', async () => {
  const metadata = memoryMetadata()
  const store = await openStore(box.dir, metadata)
  const content = noise(100 * KIB, 1)
  const { digest } = await imageOf(store, box.dir, 'a', content)
  const removing = store.remove({ images: [digest], chunks: [...store.state().chunks.keys()] })
  await imageOf(store, box.dir, 'a', content)
  await removing
  expect(await isWhole(store, digest)).toBe(true)
  expect(await isWhole(await openStore(box.dir, metadata), digest)).toBe(true)
})

test('the quota takes the least used image to make room, and refuses when all that is here is needed', async () => {
  const store = await openStore(box.dir, memoryMetadata(), { now: () => millis(Date.now()) })
  const roots = new Set<Digest>()
  const { collected } = spaceOf(store, { roots: () => roots })
  const a = await imageOf(store, box.dir, 'a', noise(400 * KIB, 1))
  const b = await imageOf(store, box.dir, 'b', noise(400 * KIB, 2))
  roots.add(b.digest)
  const c = await imageOf(store, box.dir, 'c', noise(400 * KIB, 3))
  roots.add(c.digest)
  expect(collected).toEqual([1])
  expect(store.image(a.digest)).toBeUndefined()
  expect((await isWhole(store, b.digest)) && (await isWhole(store, c.digest))).toBe(true)
  const refused = await imageOf(store, box.dir, 'd', noise(400 * KIB, 4)).catch((error: FleetError) => error)
  expect(refused).toBeInstanceOf(FleetError)
  expect(refused).toMatchObject({ code: 'no-space' })
  expect((refused as FleetError).message).toMatch(/reached its quota: .* of 1\.0 MiB .*raise --quota/)
  expect((await isWhole(store, b.digest)) && (await isWhole(store, c.digest))).toBe(true)
})

test('the floor of free space refuses what would go below it, and lets it in once there is space', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  let free = 50 * KIB
  const limits = () => ({ quota: { share: 0.5 }, minFree: { share: 0.1 } })
  let clock = 0
  const now = () => {
    clock += 5_000
    return millis(clock)
  }
  spaceOf(store, { limits, now, measure: async () => ({ size: 10_000 * KIB, free }) })
  const put = store.put(chunkOf(noise(60 * KIB, 1)))
  await expect(put).rejects.toThrow(/--min-free keeps/)
  free = 5_000 * KIB
  await store.put(chunkOf(noise(60 * KIB, 1)))
  expect(store.bytes()).toBe(60 * KIB)
})

test('nothing is collected before it is known what is needed', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  const { space } = spaceOf(store, { roots: () => undefined })
  const { digest } = await imageOf(store, box.dir, 'a', noise(100 * KIB, 1))
  expect(await space.collect({ all: true })).toEqual({ images: [], chunks: [], bytes: 0 })
  expect(await isWhole(store, digest)).toBe(true)
})

test('a dry run tells what would go and takes nothing', async () => {
  const store = await openStore(box.dir, memoryMetadata())
  const { space } = spaceOf(store)
  const { digest } = await imageOf(store, box.dir, 'a', noise(100 * KIB, 1))
  expect(await space.collect({ all: true, dryRun: true })).toMatchObject({ images: [digest], bytes: 100 * KIB })
  expect(await isWhole(store, digest)).toBe(true)
})

test('a crash after any step of a collection leaves every image that stays whole, and the next collection takes the rest', async () => {
  const metadata = memoryMetadata()
  const store = await openStore(box.dir, metadata)
  const common = noise(200 * KIB, 1)
  const stays = await imageOf(store, box.dir, 'stays', common)
  for (let at = 0; at < 3; at++)
    await imageOf(store, box.dir, `goes-${at}`, Buffer.concat([common, noise(150 * KIB, 10 + at)]))
  const limits = { quota: 0, free: 0, minFree: 0, now: millis(Date.now() + 3_600_000) }
  const collection = decideCollection({ ...store.state(), roots: new Set([stays.digest]), ...limits }, { all: true })
  expect(collection.images).toHaveLength(3)
  // What the disk is told to do, in order: the metadata first, then the packs, which test/rollout/images/packs.test.ts looks at more closely.
  const before = new Map(metadata.values)
  await cp(join(box.dir, 'packs'), join(box.dir, 'saved/packs'), { recursive: true })
  await store.remove(collection)
  const steps: ((values: Map<string, Uint8Array>, directory: string) => Promise<void>)[] = [
    ...metadata.removed.map(name => async (values: Map<string, Uint8Array>) => void values.delete(name)),
    (_, directory) => cp(join(box.dir, 'packs'), join(directory, 'packs'), { recursive: true }),
    async (_, directory) => {
      const kept = new Set(await readdir(join(box.dir, 'packs')))
      for (const name of await readdir(join(directory, 'packs')))
        if (!kept.has(name)) await rm(join(directory, 'packs', name))
    },
  ]
  expect(steps.length).toBeGreaterThan(10)
  for (let crash = 0; crash <= steps.length; crash++) {
    const directory = join(box.dir, `crash-${crash}`)
    await mkdir(directory)
    await cp(join(box.dir, 'saved/packs'), join(directory, 'packs'), { recursive: true })
    const values = new Map(before)
    for (const step of steps.slice(0, crash)) await step(values, directory)
    const reopened = await openStore(directory, memoryMetadata(values))
    expect(await isWhole(reopened, stays.digest)).toBe(true)
    for (const image of reopened.images()) if (crash === 0) expect(await isWhole(reopened, image.digest)).toBe(true)
    const { space } = spaceOf(reopened, { roots: () => new Set([stays.digest]) })
    await space.collect({ all: true })
    expect(reopened.bytes()).toBe(200 * KIB)
    expect([...values.keys()].filter(name => !name.endsWith(stays.digest))).toEqual([])
    expect(await isWhole(reopened, stays.digest)).toBe(true)
  }
})

test('a damaged chunk is told of, taken off the disk, and can be put again', async () => {
  const damaged: Digest[] = []
  const store = await openStore(box.dir, memoryMetadata(), { onDamaged: chunk => void damaged.push(chunk) })
  const chunk = chunkOf(noise(30 * KIB, 1))
  await store.put(chunk)
  rotChunk(box.dir, chunk.digest)
  await expect(store.get(chunk.digest)).rejects.toMatchObject({ code: 'corrupt' })
  expect(damaged).toEqual([chunk.digest])
  expect(store.bytes()).toBe(0)
  await store.put(chunk)
  expect((await store.get(chunk.digest))?.bytes).toEqual(chunk.bytes)
  await store.close()
  const again = await openStore(box.dir, memoryMetadata())
  expect((await again.get(chunk.digest))?.bytes).toEqual(chunk.bytes)
})

test('what a peer is to compare itself is read with a checksum alone, and what is rotten is not given away', async () => {
  const damaged: Digest[] = []
  const store = await openStore(box.dir, memoryMetadata(), { onDamaged: chunk => void damaged.push(chunk) })
  const [good, bad] = [chunkOf(noise(30 * KIB, 1)), chunkOf(noise(40 * KIB, 2))]
  await Promise.all([store.put(good), store.put(bad)])
  const into = Buffer.alloc(HEADROOM + 64 * KIB)
  const read = await store.read(good.digest, into)
  expect(Buffer.from(read!)).toEqual(good.bytes)
  expect([read!.buffer, read!.byteOffset]).toEqual([into.buffer, into.byteOffset + HEADROOM])
  rotChunk(box.dir, bad.digest)
  await expect(store.read(bad.digest, into)).rejects.toMatchObject({ code: 'corrupt' })
  expect(damaged).toEqual([bad.digest])
  expect(store.has(bad.digest)).toBe(false)
  expect(await store.read(bad.digest)).toBeUndefined()
})

test('the chunks of a version that kept a file for each are read, counted, mended and collected where they are', async () => {
  const [kept, rotten, gone] = [1, 2, 3].map(seed => chunkOf(noise(30 * KIB, seed))) as [
    VerifiedChunk,
    VerifiedChunk,
    VerifiedChunk,
  ]
  for (const { digest, bytes } of [kept, rotten, gone]) {
    await mkdir(join(box.dir, 'chunks', digest.slice(0, 2)), { recursive: true })
    await writeFile(join(box.dir, 'chunks', digest.slice(0, 2), digest), bytes)
  }
  await writeFile(join(box.dir, 'chunks', kept.digest.slice(0, 2), '.7.new'), 'cut short')
  const damaged: Digest[] = []
  const store = await openStore(box.dir, memoryMetadata(), { onDamaged: chunk => void damaged.push(chunk) })
  expect(store.bytes()).toBe(90 * KIB)
  expect((await store.get(kept.digest))?.bytes).toEqual(kept.bytes)
  expect(Buffer.from((await store.read(kept.digest))!)).toEqual(kept.bytes)
  await writeFile(join(box.dir, 'chunks', rotten.digest.slice(0, 2), rotten.digest), noise(30 * KIB, 9))
  await expect(store.read(rotten.digest)).rejects.toMatchObject({ code: 'corrupt' })
  expect(damaged).toEqual([rotten.digest])
  await store.put(rotten)
  await store.put(kept)
  await store.remove({ images: [], chunks: [gone.digest] })
  await store.close()
  const left = (await readdir(join(box.dir, 'chunks'), { recursive: true })).filter(name => name.length > 2)
  expect(left).toEqual([join(kept.digest.slice(0, 2), kept.digest)])
  const again = await openStore(box.dir, memoryMetadata())
  expect(again.bytes()).toBe(60 * KIB)
  await again.remove({ images: [], chunks: [kept.digest] })
  await openStore(box.dir, memoryMetadata())
  expect(await readdir(box.dir)).toEqual(['packs'])
})
