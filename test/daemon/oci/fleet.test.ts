import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { type Digest, millis, REVOCATION, sha256, sign, withRevocation } from '../../../protocol/index.ts'
import { addOciImage, storeContent } from '../../../rollout/index.ts'
import { eventually } from '../../support/wait.ts'
import {
  ask,
  digestOf,
  pushBlob,
  pushImage,
  putManifest,
  type RegistryNode,
  type RegistryWorld,
  registryWorld,
  type TestImage,
  testImage,
} from './support.ts'

// Registries of several nodes: what is pushed to one is pulled from another.

let world: RegistryWorld
afterEach(() => world?.close())

const known = (node: RegistryNode, repository: string, reference: string) =>
  eventually(`${reference} to be known`, () => node.pushes.resolve(repository, reference) !== undefined)
const isWhole = (node: RegistryNode, image: Digest): boolean => {
  const stored = node.images.get(image)
  return stored !== undefined && node.images.heldChunks(stored) === stored.index.length
}
async function expectPull(node: RegistryNode, repository: string, reference: string, image: TestImage): Promise<void> {
  const manifest = await ask(node, 'GET', `/v2/${repository}/manifests/${reference}`)
  expect(manifest.status).toBe(200)
  expect(digestOf(manifest.bytes)).toBe(image.digest)
  for (const blob of [image.config, ...image.layers]) {
    const { status, bytes } = await ask(node, 'GET', `/v2/${repository}/blobs/${digestOf(blob)}`)
    expect(status).toBe(200)
    expect(digestOf(bytes)).toBe(digestOf(blob))
  }
}

test('what is pushed to one node is pulled from another, and only what is asked for is fetched', async () => {
  world = await registryWorld(2, { copies: false })
  const [a, b] = world.nodes as [RegistryNode, RegistryNode]
  const image = testImage([9_000_000, 400_000])
  await pushImage(a, 'shop', 'v1', image)
  await known(b, 'shop', 'v1')
  const small = await ask(b, 'GET', `/v2/shop/manifests/v1`)
  expect(digestOf(small.bytes)).toBe(image.digest)
  const range = await ask(b, 'GET', `/v2/shop/blobs/${digestOf(image.layers[0]!)}`, {
    headers: { range: 'bytes=8999990-' },
  })
  expect(Buffer.compare(range.bytes, image.layers[0]!.subarray(8_999_990))).toBe(0)
  const stored = b.images.list()[0]!
  // The first 64 chunks of the large layer are a part of their own, which nobody asked for.
  expect(b.images.heldChunks(stored)).toBeLessThanOrEqual(stored.index.length - 64)
  await expectPull(b, 'shop', 'v1', image)
})

test('the node that took the push may go: others have fetched it by themselves', async () => {
  world = await registryWorld(4)
  const [origin, ...others] = world.nodes as [RegistryNode, ...RegistryNode[]]
  const image = testImage([1_500_000])
  await pushImage(origin, 'shop', 'v1', image)
  const { image: digest } = origin.pushes.resolve('shop', 'v1')!.body.pushed
  await eventually('two others to hold all of it', () => others.filter(node => isWhole(node, digest)).length >= 2)
  world.kill(origin)
  world.settle()
  for (const node of others) await expectPull(node, 'shop', 'v1', image)
})

test('who was not there when it was pushed hears of it later', async () => {
  world = await registryWorld(3)
  const [a, b, c] = world.nodes as [RegistryNode, RegistryNode, RegistryNode]
  world.hub.partition(a.id, c.id)
  world.hub.partition(b.id, c.id)
  const [image, deleted] = [testImage([1_000]), testImage([1_000])]
  await pushImage(a, 'shop', 'v1', image)
  await pushImage(a, 'shop', 'old', deleted)
  expect((await ask(a, 'DELETE', '/v2/shop/manifests/old')).status).toBe(202)
  expect(c.pushes.resolve('shop', 'v1')).toBeUndefined()
  world.hub.heal()
  c.pushes.linkUp(a.id)
  await known(c, 'shop', 'v1')
  await expectPull(c, 'shop', 'v1', image)
  expect((await ask(c, 'GET', '/v2/shop/manifests/old')).status).toBe(404)
})

test('the same tag pushed at two nodes is the same everywhere in the end', async () => {
  world = await registryWorld(3)
  const [a, b] = world.nodes as [RegistryNode, RegistryNode, RegistryNode]
  const [one, two] = [testImage([200_000]), testImage([200_000])]
  await Promise.all([pushImage(a, 'shop', 'v1', one), pushImage(b, 'shop', 'v1', two)])
  const digests = await eventually('all to agree', () => {
    const all = world.nodes.map(node => node.pushes.resolve('shop', 'v1')?.id)
    return all.every(id => id !== undefined && id === all[0]) && all
  })
  expect(new Set(digests).size).toBe(1)
})

test('a layer of two images is stored once, whichever repository they are in', async () => {
  world = await registryWorld(1)
  const node = world.nodes[0]!
  const first = testImage([500_000])
  await pushImage(node, 'shop', 'v1', first)
  const second = { ...testImage([]), layers: first.layers }
  const manifest = Buffer.from(
    Buffer.from(first.manifest).toString().replace(digestOf(first.config), digestOf(second.config)),
  )
  expect(second.config.byteLength).toBe(first.config.byteLength)
  await pushBlob(node, 'other', second.config)
  expect((await putManifest(node, 'other', 'v1', manifest)).status).toBe(201)
  const [a, b] = node.images.list().map(({ index }) => index.slice(2).map(({ digest }) => digest))
  expect(a!.length).toBeGreaterThan(1)
  expect(b).toEqual(a)
})

test('an index whose platforms were pushed at another node', async () => {
  world = await registryWorld(2, { copies: false })
  const [a, b] = world.nodes as [RegistryNode, RegistryNode]
  const platforms = [testImage([300_000]), testImage([300_000])]
  for (const each of platforms) await pushImage(a, 'multi', each.digest, each)
  const type = 'application/vnd.oci.image.index.v1+json'
  const manifests = platforms.map(({ digest, manifest }) => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest,
    size: manifest.byteLength,
  }))
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, manifests }))
  for (const { digest } of platforms) await known(b, 'multi', digest)
  expect((await putManifest(b, 'multi', 'v1', index, type)).status).toBe(201)
  world.kill(a)
  for (const each of platforms) await expectPull(b, 'multi', each.digest, each)
})

test('a push is refused where the policy keeps pushes to publishers, and counts nowhere once its node was put out', async () => {
  world = await registryWorld(2)
  const [a, b] = world.nodes as [RegistryNode, RegistryNode]
  const image = testImage([100])
  await pushImage(a, 'shop', 'v1', image)
  await known(b, 'shop', 'v1')
  const { authority, id, operator } = world.of
  const revocation = sign(REVOCATION, id, millis(1), { node: a.id, reason: 'stolen' }, [operator])
  world.changeAuthority(withRevocation(authority, revocation.bytes))
  expect((await ask(b, 'GET', '/v2/shop/manifests/v1')).status).toBe(404)
  await world.close()

  world = await registryWorld(1, { policy: { pushes: 'publishers' } })
  const refused = await ask(world.nodes[0]!, 'POST', '/v2/shop/blobs/uploads/')
  expect([refused.status, refused.code()]).toEqual([403, 'DENIED'])
})

test('a push whose content is not what it says is not handed out as if it were', async () => {
  world = await registryWorld(2, { copies: false })
  const [liar, b] = world.nodes as [RegistryNode, RegistryNode]
  const honest = testImage([300_000])
  const wrong = randomBytes(300_000)
  const blobOf = async (digest: string, bytes: Uint8Array) => ({
    digest: digest.slice('sha256:'.length) as Digest,
    refs: (
      await storeContent(
        liar.store,
        (async function* () {
          yield bytes
        })(),
        liar.store.hold(),
        { signal: new AbortController().signal },
      )
    ).refs,
  })
  const image = await addOciImage(liar.store, 'shop', 'v1', [
    await blobOf(honest.digest, honest.manifest),
    await blobOf(digestOf(honest.config), honest.config),
    await blobOf(digestOf(honest.layers[0]!), wrong),
  ])
  const pushed = { manifest: sha256(honest.manifest), image: image.digest, subject: null }
  await liar.pushes.publish({ repository: 'shop', reference: 'v1', pushed })
  await known(b, 'shop', 'v1')
  expect((await ask(b, 'GET', '/v2/shop/manifests/v1')).status).toBe(200)
  // The connection breaks off before the end, as a client of HTTP has to notice.
  await expect(ask(b, 'GET', `/v2/shop/blobs/${digestOf(honest.layers[0]!)}`)).rejects.toThrow()
  expect((await ask(b, 'GET', `/v2/shop/blobs/${digestOf(honest.config)}`)).status).toBe(200)
})

test('uploads are bounded in number, size and age', async () => {
  world = await registryWorld(1, { limits: { sessions: 3, blob: 100_000, total: 150_000, staged: 3 } })
  const node = world.nodes[0]!
  const begin = () => ask(node, 'POST', '/v2/a/blobs/uploads/')
  const opened = await Promise.all([begin(), begin(), begin()])
  expect(opened.map(({ status }) => status)).toEqual([202, 202, 202])
  const fourth = await begin()
  expect([fourth.status, fourth.code()]).toEqual([429, 'TOOMANYREQUESTS'])
  const [one, two, three] = opened.map(({ headers }) => headers.location!) as [string, string, string]
  const oversize = await ask(node, 'PATCH', one, { body: randomBytes(100_001) })
  expect([oversize.status, oversize.code()]).toEqual([413, 'SIZE_INVALID'])
  // It is over, and its place is free.
  expect((await ask(node, 'GET', one)).status).toBe(404)
  expect((await ask(node, 'PATCH', two, { body: randomBytes(99_000) })).status).toBe(202)
  expect((await ask(node, 'PATCH', three, { body: randomBytes(60_000) })).code()).toBe('SIZE_INVALID')
  expect((await ask(node, 'DELETE', two)).status).toBe(204)
  for (let at = 0; at < 3; at++) await pushBlob(node, 'a', randomBytes(100))
  expect((await begin()).code()).toBe('TOOMANYREQUESTS')
})
