import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ask,
  digestOf,
  OCI_INDEX,
  OCI_MANIFEST,
  pushBlob,
  pushImage,
  putManifest,
  type RegistryNode,
  type RegistryWorld,
  registryWorld,
  type TestImage,
  testImage,
} from './support.ts'

// One node's registry, request by request: what docs/oci.md lists of the distribution-spec.

let world: RegistryWorld
let node: RegistryNode
let image: TestImage
const LAYER = 700_000

beforeAll(async () => {
  world = await registryWorld(1)
  node = world.nodes[0]!
  image = testImage([LAYER, 1_000])
  await pushImage(node, 'team/shop', 'v1', image)
})
afterAll(() => world?.close())

const get = (url: string, headers: Record<string, string> = {}) => ask(node, 'GET', url, { headers })
const head = (url: string) => ask(node, 'HEAD', url)

describe('pull', () => {
  test('/v2/ answers 200', async () => {
    const { status, headers } = await get('/v2/')
    expect(status).toBe(200)
    expect(headers['docker-distribution-api-version']).toBe('registry/2.0')
    expect((await get('/v2')).status).toBe(200)
  })

  test('a manifest comes back to the byte, by tag and by digest, and HEAD says the same of it', async () => {
    for (const reference of ['v1', image.digest]) {
      const url = `/v2/team/shop/manifests/${reference}`
      const found = await get(url)
      expect(found.status).toBe(200)
      expect(Buffer.compare(found.bytes, image.manifest)).toBe(0)
      const { status, headers, bytes } = await head(url)
      expect(status).toBe(200)
      expect(bytes.byteLength).toBe(0)
      for (const each of [headers, found.headers]) {
        expect(each['content-type']).toBe(OCI_MANIFEST)
        expect(each['docker-content-digest']).toBe(image.digest)
        expect(String(each['content-length'])).toBe(String(image.manifest.byteLength))
      }
    }
  })

  test('blobs come back to the byte, and HEAD says how long they are', async () => {
    for (const blob of [image.config, ...image.layers]) {
      const url = `/v2/team/shop/blobs/${digestOf(blob)}`
      const found = await get(url)
      expect(found.status).toBe(200)
      expect(Buffer.compare(found.bytes, blob)).toBe(0)
      const { status, headers, bytes } = await head(url)
      expect(status).toBe(200)
      expect(bytes.byteLength).toBe(0)
      expect(String(headers['content-length'])).toBe(String(blob.byteLength))
      expect(headers['docker-content-digest']).toBe(digestOf(blob))
    }
  })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 200],
    ['bytes=65000-400000', 65_000, 400_001],
    ['bytes=699999-', 699_999, LAYER],
    ['bytes=699999-10000000', 699_999, LAYER],
    ['bytes=-1', LAYER - 1, LAYER],
    ['bytes=-300000', LAYER - 300_000, LAYER],
    ['bytes=-99999999', 0, LAYER],
    ['bytes=0-', 0, LAYER],
  ])('the range %s', async (range, start, end) => {
    const layer = image.layers[0]!
    const { status, headers, bytes } = await get(`/v2/team/shop/blobs/${digestOf(layer)}`, { range })
    expect(status).toBe(206)
    expect(headers['content-range']).toBe(`bytes ${start}-${end - 1}/${LAYER}`)
    expect(Buffer.compare(bytes, layer.subarray(start, end))).toBe(0)
  })

  test('a range behind the end is 416, and says how long the blob is', async () => {
    for (const range of [`bytes=${LAYER}-`, 'bytes=-0', `bytes=${LAYER + 5}-${LAYER + 9}`]) {
      const { status, headers } = await get(`/v2/team/shop/blobs/${digestOf(image.layers[0]!)}`, { range })
      expect(status).toBe(416)
      expect(headers['content-range']).toBe(`bytes */${LAYER}`)
    }
  })

  test('ranges that make no sense, are several or of a stale version get the whole blob', async () => {
    const layer = image.layers[1]!
    const url = `/v2/team/shop/blobs/${digestOf(layer)}`
    for (const headers of [
      { range: 'bytes=5-1' },
      { range: 'lines=0-1' },
      { range: 'bytes=0-1,4-5' },
      { range: 'bytes=a-b' },
      { range: 'bytes=0-1', 'if-range': '"another"' },
    ]) {
      const { status, bytes } = await get(url, headers as unknown as Record<string, string>)
      expect(status).toBe(200)
      expect(bytes.byteLength).toBe(1_000)
    }
    expect((await get(url, { range: 'bytes=0-1', 'if-range': `"${digestOf(layer)}"` })).status).toBe(206)
    expect((await get(url, { 'if-none-match': `"${digestOf(layer)}"` })).status).toBe(304)
  })

  test('an empty blob', async () => {
    const digest = await pushBlob(node, 'team/shop', new Uint8Array())
    const { status, bytes, headers } = await get(`/v2/team/shop/blobs/${digest}`)
    expect(status).toBe(200)
    expect(bytes.byteLength).toBe(0)
    expect(String(headers['content-length'])).toBe('0')
    expect((await get(`/v2/team/shop/blobs/${digest}`, { range: 'bytes=0-' })).status).toBe(416)
  })

  const none = `sha256:${'0'.repeat(64)}`
  test.each([
    ['an unknown tag', '/v2/team/shop/manifests/v9', 404, 'MANIFEST_UNKNOWN'],
    ['an unknown digest of a manifest', `/v2/team/shop/manifests/${none}`, 404, 'MANIFEST_UNKNOWN'],
    ['a manifest of an unknown repository', '/v2/nobody/manifests/v1', 404, 'MANIFEST_UNKNOWN'],
    ['what is no reference', '/v2/team/shop/manifests/.INVALID', 404, 'MANIFEST_UNKNOWN'],
    ['an unknown blob', `/v2/team/shop/blobs/${none}`, 404, 'BLOB_UNKNOWN'],
    ['a blob by another algorithm', `/v2/team/shop/blobs/sha512:${'0'.repeat(128)}`, 404, 'BLOB_UNKNOWN'],
    ['a blob by what is no digest', '/v2/team/shop/blobs/sha256:abc', 400, 'DIGEST_INVALID'],
    ['a name with capitals', '/v2/Team/shop/manifests/v1', 400, 'NAME_INVALID'],
    ['a path out of the registry', '/v2/../../etc/manifests/passwd', 404, 'UNSUPPORTED'],
    ['a path out of the registry, encoded', '/v2/%2e%2e%2f%2e%2e%2fetc/manifests/passwd', 400, 'NAME_INVALID'],
    ['a name that is not well encoded', '/v2/%zz/manifests/v1', 400, 'NAME_INVALID'],
    ['a name of 300 characters', `/v2/${'a'.repeat(300)}/manifests/v1`, 400, 'NAME_INVALID'],
    ['tags of an unknown repository', '/v2/nobody/tags/list', 404, 'NAME_UNKNOWN'],
    ['what is not of the API', '/v2/team/shop/layers/v1', 404, 'UNSUPPORTED'],
    ['what is no registry', '/v1/search', 404, 'UNSUPPORTED'],
  ])('%s is refused', async (_what, url, status, code) => {
    const found = await get(url)
    expect([found.status, found.code()]).toEqual([status, code])
    expect(found.headers['content-type']).toBe('application/json')
  })

  test('a layer is no manifest', async () => {
    expect((await get(`/v2/team/shop/manifests/${digestOf(image.layers[1]!)}`)).status).toBe(404)
  })
})

describe('push', () => {
  const start = async (repository = 'team/up'): Promise<string> => {
    const { status, headers } = await ask(node, 'POST', `/v2/${repository}/blobs/uploads/`)
    expect(status).toBe(202)
    return headers.location!
  }

  test('in one POST, and in POST and PUT', async () => {
    const blob = randomBytes(300_000)
    const location = await start()
    const digest = digestOf(blob)
    const { status, headers } = await ask(node, 'PUT', `${location}?digest=${digest}`, { body: blob })
    expect(status).toBe(201)
    expect(headers.location).toBe(`/v2/team/up/blobs/${digest}`)
    expect(Buffer.compare((await get(headers.location!)).bytes, blob)).toBe(0)
    const other = randomBytes(10)
    expect(
      Buffer.compare((await get(`/v2/team/up/blobs/${await pushBlob(node, 'team/up', other)}`)).bytes, other),
    ).toBe(0)
  })

  test('a staged blob is served in ranges too', async () => {
    const blob = randomBytes(1_000)
    const digest = await pushBlob(node, 'team/up', blob)
    const { status, bytes } = await get(`/v2/team/up/blobs/${digest}`, { range: 'bytes=10-19' })
    expect(status).toBe(206)
    expect(Buffer.compare(bytes, blob.subarray(10, 20))).toBe(0)
  })

  test('in chunks, with the last of them in PUT', async () => {
    const blob = randomBytes(250_000)
    const location = await start()
    const patch = (from: number, to: number) =>
      ask(node, 'PATCH', location, { body: blob.subarray(from, to), headers: { 'content-range': `${from}-${to - 1}` } })
    const first = await patch(0, 100_000)
    expect([first.status, first.headers.range]).toEqual([202, '0-99999'])
    const status = await get(location)
    expect([status.status, status.headers.range, status.headers.location]).toEqual([204, '0-99999', location])
    expect((await patch(100_000, 200_000)).headers.range).toBe('0-199999')
    const done = await ask(node, 'PUT', `${location}?digest=${digestOf(blob)}`, {
      body: blob.subarray(200_000),
      headers: { 'content-range': '200000-249999' },
    })
    expect(done.status).toBe(201)
    expect(Buffer.compare((await get(`/v2/team/up/blobs/${digestOf(blob)}`)).bytes, blob)).toBe(0)
    expect((await get(location)).code()).toBe('BLOB_UPLOAD_UNKNOWN')
  })

  test('chunks that overlap, leave a gap, lie of their length or make no sense are 416, and the upload goes on', async () => {
    const blob = randomBytes(3_000)
    const location = await start()
    const patch = (body: Uint8Array, range: string) =>
      ask(node, 'PATCH', location, { body, headers: { 'content-range': range } })
    expect((await patch(blob.subarray(0, 1_000), '0-999')).status).toBe(202)
    for (const [body, range] of [
      [blob.subarray(0, 1_000), '0-999'],
      [blob.subarray(500, 1_500), '500-1499'],
      [blob.subarray(2_000), '2000-2999'],
      [blob.subarray(1_000, 1_500), '1000-1999'],
      [blob.subarray(1_000), '1000-1999'],
      [blob.subarray(1_000), 'bytes 1000-2999/3000'],
      [blob.subarray(1_000), '2999-1000'],
      [blob.subarray(1_000), '-5'],
    ] as const) {
      const { status, headers } = await patch(body, range)
      expect([range, status, headers.range]).toEqual([range, 416, '0-999'])
    }
    expect((await patch(blob.subarray(1_000), '1000-2999')).status).toBe(202)
    expect((await ask(node, 'PUT', `${location}?digest=${digestOf(blob)}`)).status).toBe(201)
  })

  test('two requests cannot write to one upload at once', async () => {
    const location = await start()
    const [a, b] = await Promise.all(
      [randomBytes(2_000_000), randomBytes(2_000_000)].map(body => ask(node, 'PATCH', location, { body })),
    )
    expect([a!.status, b!.status].sort()).toEqual([202, 409])
    expect((await get(location)).headers.range).toBe('0-1999999')
  })

  test('content that is not what its digest says is refused, and the upload is over', async () => {
    const location = await start()
    const wrong = await ask(node, 'PUT', `${location}?digest=${digestOf(randomBytes(5))}`, { body: randomBytes(9) })
    expect([wrong.status, wrong.code()]).toEqual([400, 'DIGEST_INVALID'])
    expect((await get(location)).status).toBe(404)
  })

  test.each([
    ['no digest', ''],
    ['what is no digest', '?digest=sha256:12'],
    ['a digest of another algorithm', `?digest=sha512:${'0'.repeat(128)}`],
  ])('an upload that ends with %s is refused, and can be ended better', async (_what, query) => {
    const location = await start()
    const refused = await ask(node, 'PUT', location + query, { body: 'x' })
    expect([refused.status, refused.code()]).toEqual([400, 'DIGEST_INVALID'])
    expect((await get(location)).status).toBe(204)
  })

  test('a cancelled upload is unknown, and so is that of another repository', async () => {
    const location = await start()
    expect((await get(location.replace('/team/up/', '/team/other/'))).code()).toBe('BLOB_UPLOAD_UNKNOWN')
    expect((await ask(node, 'DELETE', location)).status).toBe(204)
    expect((await get(location)).code()).toBe('BLOB_UPLOAD_UNKNOWN')
    expect((await ask(node, 'PATCH', location, { body: 'x' })).code()).toBe('BLOB_UPLOAD_UNKNOWN')
    expect((await ask(node, 'DELETE', location)).code()).toBe('BLOB_UPLOAD_UNKNOWN')
  })

  test('a blob is mounted from another repository, or uploaded when it is in none', async () => {
    const digest = digestOf(image.layers[0]!)
    const mounted = await ask(node, 'POST', `/v2/other/app/blobs/uploads/?mount=${digest}&from=team/shop`)
    expect([mounted.status, mounted.headers.location]).toEqual([201, `/v2/other/app/blobs/${digest}`])
    expect((await head(mounted.headers.location!)).status).toBe(200)
    const unknown = await ask(
      node,
      'POST',
      `/v2/other/app/blobs/uploads/?mount=${digestOf(randomBytes(9))}&from=team/shop`,
    )
    expect(unknown.status).toBe(202)
    expect(unknown.headers.location).toMatch(/^\/v2\/other\/app\/blobs\/uploads\//)
  })

  test('a manifest whose blobs are not there is refused with their digests', async () => {
    const { manifest, config } = testImage([10])
    await pushBlob(node, 'team/up', config)
    const refused = await putManifest(node, 'team/up', 'v1', manifest)
    expect([refused.status, refused.code()]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN'])
    expect((await get('/v2/team/up/manifests/v1')).status).toBe(404)
  })

  const other = testImage([1])
  test.each([
    ['is no JSON', 'nonsense', OCI_MANIFEST, 'v1', 400, 'MANIFEST_INVALID'],
    ['is empty', '', OCI_MANIFEST, 'v1', 400, 'MANIFEST_INVALID'],
    ['is a list', '[]', OCI_MANIFEST, 'v1', 400, 'MANIFEST_INVALID'],
    ['names nothing', '{"schemaVersion":2}', OCI_MANIFEST, 'v1', 400, 'MANIFEST_INVALID'],
    ['is of schema 1', '{"schemaVersion":1,"config":{},"layers":[]}', OCI_MANIFEST, 'v1', 400, 'MANIFEST_INVALID'],
    ['is both', '{"schemaVersion":2,"manifests":[],"layers":[]}', OCI_INDEX, 'v1', 400, 'MANIFEST_INVALID'],
    ['is sent as something else', other.manifest, OCI_INDEX, 'v1', 400, 'MANIFEST_INVALID'],
    ['has another digest', other.manifest, OCI_MANIFEST, `sha256:${'0'.repeat(64)}`, 400, 'DIGEST_INVALID'],
    ['has a bad tag', other.manifest, OCI_MANIFEST, '-v1', 400, 'MANIFEST_INVALID'],
    ['is too large', `{"x":"${'x'.repeat(4 * 1024 * 1024)}"}`, OCI_MANIFEST, 'v1', 413, 'MANIFEST_INVALID'],
  ])('a manifest that %s is refused', async (_what, body, type, reference, status, code) => {
    const refused = await putManifest(node, 'team/bad', reference, Buffer.from(body as string), type)
    expect([refused.status, refused.code()]).toEqual([status, code])
    expect((await get('/v2/team/bad/tags/list')).status).toBe(404)
  })

  test('a manifest that lies of the size of a layer is refused', async () => {
    const honest = testImage([500])
    for (const blob of [honest.config, ...honest.layers]) await pushBlob(node, 'team/bad', blob)
    const lying = Buffer.from(Buffer.from(honest.manifest).toString().replace('"size":500', '"size":501'))
    expect((await putManifest(node, 'team/bad', 'v1', lying)).code()).toBe('MANIFEST_INVALID')
    expect((await putManifest(node, 'team/bad', 'v1', honest.manifest)).status).toBe(201)
  })

  test('a tag moves, and what it stood for is still there by its digest', async () => {
    const [before, after] = [testImage([2_000]), testImage([2_000])]
    await pushImage(node, 'team/moves', 'latest', before)
    await pushImage(node, 'team/moves', 'latest', after)
    expect((await head('/v2/team/moves/manifests/latest')).headers['docker-content-digest']).toBe(after.digest)
    expect((await head(`/v2/team/moves/manifests/${before.digest}`)).status).toBe(200)
    expect(
      Buffer.compare((await get(`/v2/team/moves/blobs/${digestOf(before.layers[0]!)}`)).bytes, before.layers[0]!),
    ).toBe(0)
  })

  test('an index of several platforms, of which one was left out', async () => {
    const [a, b, absent] = [testImage([50_000]), testImage([60_000]), testImage([1])]
    for (const each of [a, b]) await pushImage(node, 'team/multi', each.digest, each)
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [a, b, absent].map(({ manifest, digest }, at) => ({
          mediaType: OCI_MANIFEST,
          digest,
          size: manifest.byteLength,
          platform: { os: 'linux', architecture: ['amd64', 'arm64', 'riscv64'][at] },
        })),
      }),
    )
    expect((await putManifest(node, 'team/multi', 'v1', index, OCI_INDEX)).status).toBe(201)
    const found = await get('/v2/team/multi/manifests/v1')
    expect(found.headers['content-type']).toBe(OCI_INDEX)
    expect(Buffer.compare(found.bytes, index)).toBe(0)
    for (const { digest, manifest } of [a, b])
      expect(Buffer.compare((await get(`/v2/team/multi/manifests/${digest}`)).bytes, manifest)).toBe(0)
    expect((await get(`/v2/team/multi/manifests/${absent.digest}`)).status).toBe(404)
    const shared = node.images
      .list()
      .find(each => each.manifest.name === 'team/multi' && each.manifest.version === 'v1')
    expect(shared?.manifest.blobs).toHaveLength(1 + 2 * 3)
  })
})

describe('discovery', () => {
  beforeAll(async () => {
    const each = testImage([10])
    await pushImage(node, 'lists', 'b', each)
    for (const tag of ['C', 'a', '_x', 'd.1']) await putManifest(node, 'lists', tag, each.manifest)
  })

  test('tags come in lexical order, whole and in pages', async () => {
    expect((await get('/v2/lists/tags/list')).json()).toEqual({ name: 'lists', tags: ['_x', 'a', 'b', 'C', 'd.1'] })
    const seen: string[] = []
    for (let url: string | undefined = '/v2/lists/tags/list?n=2'; url !== undefined; ) {
      const { headers, json } = await get(url)
      seen.push((json() as { tags: string[] }).tags.join())
      url = /^<(.*)>; rel="next"$/.exec(headers.link ?? '')?.[1]
    }
    expect(seen).toEqual(['_x,a', 'b,C', 'd.1'])
    expect((await get('/v2/lists/tags/list?n=0')).json()).toEqual({ name: 'lists', tags: [] })
    expect((await get('/v2/lists/tags/list?n=x')).status).toBe(400)
  })

  test('what is about a manifest is listed, by its type where that is asked for', async () => {
    const subject = { mediaType: OCI_MANIFEST, digest: image.digest, size: image.manifest.byteLength }
    const signature = testImage([20], { subject, artifactType: 'application/x.signature', annotations: { by: 'a' } })
    const sbom = testImage([30], { subject })
    for (const [at, each] of [signature, sbom].entries()) {
      for (const blob of [each.config, ...each.layers]) await pushBlob(node, 'team/shop', blob)
      const { status, headers } = await putManifest(node, 'team/shop', at === 0 ? each.digest : 'sbom', each.manifest)
      expect([status, headers['oci-subject']]).toEqual([201, image.digest])
    }
    const { status, headers, json } = await get(`/v2/team/shop/referrers/${image.digest}`)
    expect([status, headers['content-type']]).toEqual([200, OCI_INDEX])
    const listed = (json() as { manifests: { digest: string }[] }).manifests
    expect(listed.map(({ digest }) => digest).sort()).toEqual([signature.digest, sbom.digest].sort())
    expect(listed).toContainEqual({
      mediaType: OCI_MANIFEST,
      digest: signature.digest,
      size: signature.manifest.byteLength,
      artifactType: 'application/x.signature',
      annotations: { by: 'a' },
    })
    const filtered = await get(`/v2/team/shop/referrers/${image.digest}?artifactType=application/x.signature`)
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType')
    expect((filtered.json() as { manifests: unknown[] }).manifests).toHaveLength(1)
  })

  test('of what nothing refers to the list is empty, and not an error', async () => {
    const found = await get(`/v2/nobody/referrers/${digestOf(randomBytes(3))}`)
    expect(found.status).toBe(200)
    expect((found.json() as { manifests: unknown[] }).manifests).toEqual([])
    expect((await get('/v2/nobody/referrers/sha256:x')).code()).toBe('DIGEST_INVALID')
  })
})

describe('management', () => {
  test('a tag is deleted alone, and a digest with all its tags', async () => {
    const each = testImage([10])
    await pushImage(node, 'gone', 'a', each)
    await putManifest(node, 'gone', 'b', each.manifest)
    expect((await ask(node, 'DELETE', '/v2/gone/manifests/a')).status).toBe(202)
    expect((await get('/v2/gone/manifests/a')).status).toBe(404)
    expect((await get('/v2/gone/manifests/b')).status).toBe(200)
    expect((await ask(node, 'DELETE', `/v2/gone/manifests/${each.digest}`)).status).toBe(202)
    expect((await get('/v2/gone/manifests/b')).status).toBe(404)
    expect((await get(`/v2/gone/manifests/${each.digest}`)).status).toBe(404)
    expect((await ask(node, 'DELETE', `/v2/gone/manifests/${each.digest}`)).status).toBe(404)
    // It can be pushed again.
    await pushImage(node, 'gone', 'a', each)
    expect((await get('/v2/gone/manifests/a')).status).toBe(200)
  })

  test('blobs are not deleted by themselves', async () => {
    const { status, code } = await ask(node, 'DELETE', `/v2/team/shop/blobs/${digestOf(image.config)}`)
    expect([status, code()]).toEqual([405, 'UNSUPPORTED'])
  })
})

describe('as a mirror', () => {
  test('?ns= asks for the repository of another registry', async () => {
    const each = testImage([10])
    await pushImage(node, 'docker.io/library/tiny', 'latest', each)
    const found = await get('/v2/library/tiny/manifests/latest?ns=docker.io')
    expect([found.status, found.headers['docker-content-digest']]).toEqual([200, each.digest])
    expect((await get(`/v2/library/tiny/blobs/${digestOf(each.config)}?ns=docker.io`)).status).toBe(200)
    expect((await get('/v2/library/tiny/manifests/latest')).status).toBe(404)
    expect((await get('/v2/library/tiny/manifests/latest?ns=ghcr.io')).status).toBe(404)
    await pushImage(node, 'registry.local_5000/tiny', 'latest', each)
    expect((await get('/v2/tiny/manifests/latest?ns=registry.local:5000')).status).toBe(200)
    expect((await get('/v2/tiny/manifests/latest?ns=../etc')).code()).toBe('NAME_INVALID')
  })
})

test('a web page is not answered', async () => {
  for (const headers of [{ host: 'evil.example:5000' }, { origin: 'http://evil.example' }])
    expect((await get('/v2/', headers as unknown as Record<string, string>)).status).toBe(403)
})
