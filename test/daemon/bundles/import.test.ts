import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { importBundle } from '../../../daemon/bundles/import.ts'
import { ENDORSEMENT, generateKeyPair, keyPairFromSeed, PLAN, sign } from '../../../protocol/index.ts'
import { fleet, nextPolicy } from '../../protocol/fleet.ts'
import { memorySource } from '../../rollout/images/bundle-support.ts'
import { imageOf, isWhole, noise, type Scratch, scratch } from '../../rollout/images/support.ts'
import { NOW, plan } from '../../rollout/ledger/fixtures.ts'
import { bundleBytes, endorse, type Host, host } from './support.ts'

const KIB = 1024
const operator = keyPairFromSeed(new Uint8Array(32).fill(9))
const FLEET = fleet(operator, { publishers: [operator.publicKey] })

let box: Scratch
let origin: Host
let site: Host
let hosts = 0
beforeEach(async () => {
  box = await scratch()
  origin = await newHost()
  site = await newHost()
})
afterEach(() => box.close())

const newHost = (of = FLEET): Promise<Host> => host(join(box.dir, `host-${hosts++}`), of.authority)
const imageWith = async (content: Uint8Array, on = origin, of = FLEET) =>
  endorse(on, of, (await imageOf(on.store, box.dir, 'shop', content)).digest)
const take = (bytes: Uint8Array, to: Host = site, signal = new AbortController().signal) => {
  const source = memorySource(bytes)
  return importBundle(to, source, { signal, onProgress: () => undefined }).then(result => ({ ...result, source }))
}

test('an image comes over whole and signed, every chunk is offered to others, and a second import reads none of it', async () => {
  const image = await imageWith(noise(900 * KIB, 1))
  const bytes = await bundleBytes(origin, image)
  expect(bytes.byteLength - image.manifest.size).toBeLessThan(3000)
  const { newChunks } = await take(bytes)
  expect(newChunks).toBe(image.index.length)
  expect(await isWhole(site.store, image.digest)).toBe(true)
  expect(site.store.image(image.digest)!.endorsement).toEqual(image.endorsement)
  expect(site.offered.toSorted((a, b) => a - b)).toEqual(image.index.map((_, at) => at))
  const again = await take(bytes)
  expect(again.newChunks).toBe(0)
  expect(again.source.given).toBeLessThan(3000)
})

test('with --since only what changed is in it, and a host that lacks the rest is told what it lacks, with nothing taken', async () => {
  const before = noise(2000 * KIB, 2)
  const old = await imageWith(before)
  const image = await imageWith(
    Buffer.concat([before.subarray(0, 700 * KIB), noise(100, 3), before.subarray(700 * KIB)]),
  )
  const delta = await bundleBytes(origin, image, { since: old })
  expect(delta.byteLength).toBeLessThan(image.manifest.size / 4)
  await expect(take(delta)).rejects.toThrow(
    /chunks of its image are neither in the bundle nor on this host: it was exported with --since image [0-9a-f]{12}/,
  )
  expect(site.store.images()).toEqual([])
  await take(await bundleBytes(origin, old))
  await take(delta)
  expect(await isWhole(site.store, image.digest)).toBe(true)
})

test('an import that is cut off goes on where it was', async () => {
  const image = await imageWith(noise(900 * KIB, 4))
  const bytes = await bundleBytes(origin, image)
  const stop = new AbortController()
  const cut = importBundle(site, memorySource(bytes), {
    signal: stop.signal,
    onProgress: ({ done, total }) => done > total / 2 && stop.abort(),
  })
  await expect(cut).rejects.toMatchObject({ code: 'timeout' })
  const kept = site.images.heldChunks(image)
  expect(kept).toBeGreaterThan(image.index.length / 3)
  const { newChunks } = await take(bytes)
  expect(newChunks).toBe(image.index.length - kept)
  expect(await isWhole(site.store, image.digest)).toBe(true)
})

test('a bundle of another fleet, an unsigned image and one that a stranger signed are refused before anything is kept', async () => {
  const content = noise(300 * KIB, 5)
  const other = fleet(generateKeyPair())
  const stranger = generateKeyPair()
  const image = await imageWith(content)
  await expect(take(await bundleBytes(origin, image), await newHost(other))).rejects.toThrow(
    /for fleet .* member of fleet/,
  )

  const forged = sign(ENDORSEMENT, FLEET.id, NOW, { image: image.digest }, [stranger])
  await origin.store.endorse(image.digest, forged.bytes)
  const bundle = await bundleBytes(origin, origin.store.image(image.digest)!)
  await expect(take(bundle)).rejects.toMatchObject({
    code: 'unauthorized',
    message: 'image shop:v1 is not signed by a publisher of this fleet',
  })
  expect(site.store.images()).toEqual([])
  expect(site.store.bytes()).toBe(0)
})

test('a chunk that does not match ends the import, and what came before it stays', async () => {
  const image = await imageWith(noise(900 * KIB, 6))
  const bytes = await bundleBytes(origin, image)
  bytes[bytes.byteLength - 10]! ^= 1
  await expect(take(bytes)).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringMatching(/does not match its digest/),
  })
  expect(site.images.heldChunks(image)).toBe(image.index.length - 1)
})

test('the policies of the fleet come along, so that what a newer publisher signed counts; another chain is refused', async () => {
  const publisher = generateKeyPair()
  const second = nextPolicy(FLEET, FLEET.first, [FLEET.operator], [FLEET.operator], {
    publishers: [publisher.publicKey],
  })
  const { digest } = await imageOf(origin.store, box.dir, 'shop', noise(100 * KIB, 7))
  await origin.acceptPolicy(second.bytes)
  await origin.store.endorse(digest, sign(ENDORSEMENT, FLEET.id, NOW, { image: digest }, [publisher]).bytes)
  const bytes = await bundleBytes(origin, origin.store.image(digest)!)
  expect(await take(bytes)).toMatchObject({ policies: 1 })
  expect(site.authority().policy.version).toBe(2)
  expect(await take(bytes)).toMatchObject({ policies: 0 })

  const elsewhere = await newHost()
  const fork = nextPolicy(FLEET, FLEET.first, [FLEET.operator], [FLEET.operator], { nonce: 2 })
  await elsewhere.acceptPolicy(fork.bytes)
  await expect(take(bytes, elsewhere)).rejects.toMatchObject({ code: 'conflict' })
})

test('a plan comes along when it is wanted and signed by an operator, and is for this image', async () => {
  const image = await imageWith(noise(100 * KIB, 8))
  await expect(bundleBytes(origin, image, { withPlan: true })).rejects.toThrow('knows no plan that brings shop:v1')
  const { body } = plan({ image: image.digest, version: 'shop:v1' })
  const good = sign(PLAN, FLEET.id, NOW, body, [FLEET.operator])
  origin.plans.push(good)
  expect((await take(await bundleBytes(origin, image))).plans).toEqual([])
  expect((await take(await bundleBytes(origin, image, { withPlan: true }))).plans.map(({ id }) => id)).toEqual([
    good.id,
  ])

  origin.plans.splice(0, 1, sign(PLAN, FLEET.id, NOW, body, [generateKeyPair()]))
  await expect(take(await bundleBytes(origin, image, { withPlan: true }))).rejects.toMatchObject({
    code: 'unauthorized',
  })
})

test('what is not whole or not signed is not exported', async () => {
  const image = await imageWith(noise(300 * KIB, 9))
  await origin.store.remove({ images: [], chunks: [image.index[1]!.digest] })
  await expect(bundleBytes(origin, image)).rejects.toThrow('1 chunks of shop:v1 are not on this host')
  const { digest } = await imageOf(origin.store, box.dir, 'raw', noise(10 * KIB, 10))
  await expect(bundleBytes(origin, origin.store.image(digest)!)).rejects.toThrow('no publisher has signed raw:v1')
})
