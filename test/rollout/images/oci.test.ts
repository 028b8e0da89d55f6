import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { decode, encode, encodeManifest, openManifest, sha256 } from '../../../protocol/index.ts'
import {
  addOciImage,
  type Blob,
  type ImageStore,
  MAX_DOCUMENT,
  openStore,
  parseDocument,
  spansOf,
  storeContent,
  unpackLayout,
} from '../../../rollout/index.ts'
import { refusal, thrown } from '../../protocol/fleet.ts'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const signal = new AbortController().signal
let directory: string
let store: ImageStore

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fleetd-oci-'))
  const values = new Map<string, Uint8Array>()
  store = await openStore(join(directory, 'store'), {
    get: async name => values.get(name),
    put: async (name, value) => void values.set(name, value),
    del: async name => void values.delete(name),
    list: async () => [],
  })
})
afterEach(() => rmSync(directory, { recursive: true }))

async function blob(bytes: Uint8Array, digest = sha256(bytes)): Promise<Blob> {
  const { refs } = await storeContent(store, [bytes] as unknown as AsyncIterable<Uint8Array>, store.hold(), { signal })
  return { digest, refs }
}
const layer = (fill: number, size: number): Uint8Array =>
  Buffer.from(Array.from({ length: size }, (_, at) => (at * fill + (at >> 7)) & 0xff))
const named = (bytes: Uint8Array) => ({ mediaType: 'x/y', digest: `sha256:${sha256(bytes)}`, size: bytes.byteLength })
const CONFIG = Buffer.from('{"os":"linux"}')
const LAYERS = [layer(3, 400_000), layer(5, 10), new Uint8Array()]
const ROOT = Buffer.from(JSON.stringify({ schemaVersion: 2, config: named(CONFIG), layers: LAYERS.map(named) }))

test('a blob has the same chunks in every image, and is found where it lies', async () => {
  const blobs = await Promise.all([ROOT, CONFIG, ...LAYERS].map(bytes => blob(bytes)))
  const one = await addOciImage(store, 'team/shop', 'v1', blobs)
  const two = await addOciImage(store, 'other', '_2.', [blobs[1]!, blobs[2]!])
  for (const image of [one, two])
    for (const { digest, from, to, size } of spansOf(image)) {
      const expected = blobs.find(each => each.digest === digest)!
      expect(image.index.slice(from, to)).toEqual(expected.refs)
      expect(size).toBe(expected.refs.reduce((sum, { length }) => sum + length, 0))
    }
  expect((await addOciImage(store, 'team/shop', 'v1', blobs)).digest).toBe(one.digest)
  expect(openManifest(encodeManifest(one.manifest), one.digest)).toEqual(one.manifest)
})

test('unpacked it is an OCI image layout', async () => {
  const image = await addOciImage(
    store,
    'shop',
    'v1',
    await Promise.all([ROOT, CONFIG, ...LAYERS].map(bytes => blob(bytes))),
  )
  const slot = join(directory, 'slot')
  await mkdir(slot)
  await unpackLayout(store, image, slot, signal)
  for (const bytes of [ROOT, CONFIG, ...LAYERS])
    expect(Buffer.compare(readFileSync(join(slot, 'blobs/sha256', sha256(bytes))), bytes)).toBe(0)
  expect(readdirSync(join(slot, 'blobs/sha256'))).toHaveLength(5)
  expect(JSON.parse(readFileSync(join(slot, 'index.json'), 'utf8')).manifests).toEqual([
    {
      mediaType: MANIFEST,
      digest: `sha256:${sha256(ROOT)}`,
      size: ROOT.byteLength,
      annotations: { 'org.opencontainers.image.ref.name': 'v1' },
    },
  ])
})

test('a blob that is not what its name says is not unpacked', async () => {
  const wrong = await blob(layer(9, 1_000), sha256(Buffer.from('another')))
  const image = await addOciImage(store, 'shop', 'v1', [await blob(ROOT), wrong])
  await mkdir(join(directory, 'slot'))
  await expect(unpackLayout(store, image, join(directory, 'slot'), signal)).rejects.toEqual(refusal('corrupt'))
})

test('blobs that end within a chunk are refused', async () => {
  const image = await addOciImage(store, 'shop', 'v1', [await blob(ROOT), await blob(LAYERS[0]!)])
  const [[a, one], [b, two]] = image.manifest.blobs as [[never, number], [never, number]]
  const manifest = { ...image.manifest, blobs: [[a, one + 1] as never, [b, two - 1] as never] }
  expect(thrown(() => spansOf({ manifest, index: image.index }))).toEqual(refusal('corrupt'))
})

test('a manifest has blobs exactly when it is of kind oci, each once, and they add up', async () => {
  const image = await addOciImage(store, 'shop', 'v1', [await blob(ROOT), await blob(CONFIG)])
  const good = decode(encodeManifest(image.manifest), 1_000_000) as Record<string, unknown>
  const blobs = image.manifest.blobs!
  const tooMany = Array.from({ length: 513 }, (_, at) => [sha256(Buffer.from(String(at))), 0])
  for (const change of [
    { kind: 'file' },
    { blobs: [] },
    { blobs: [blobs[0], [blobs[1]![0], blobs[1]![1] + 1]] },
    { blobs: [blobs[0], blobs[1], [blobs[1]![0], 0]] },
    { blobs: tooMany, size: 0 },
    { blobs: [[blobs[0]![0], -1]] },
    { name: '../etc' },
    { name: 'a//b' },
    { version: 'a/b' },
  ]) {
    const bytes = encode({ ...good, ...change })
    expect(thrown(() => openManifest(bytes, sha256(bytes)))).toEqual(refusal('corrupt'))
  }
  const { blobs: _, ...without } = good
  const bytes = encode(without)
  expect(thrown(() => openManifest(bytes, sha256(bytes)))).toEqual(refusal('corrupt'))
  const file = encode({ ...without, kind: 'file' })
  expect(openManifest(file, sha256(file)).kind).toBe('file')
})

test('what a manifest is about, and its type where it does not say it', () => {
  expect(parseDocument(ROOT)).toMatchObject({ mediaType: MANIFEST, artifactType: 'x/y', manifests: [] })
  const index = { schemaVersion: 2, manifests: [named(ROOT)], subject: named(CONFIG) }
  expect(parseDocument(Buffer.from(JSON.stringify(index)))).toMatchObject({
    mediaType: 'application/vnd.oci.image.index.v1+json',
    blobs: [],
    subject: { digest: `sha256:${sha256(CONFIG)}` },
  })
  expect(thrown(() => parseDocument(new Uint8Array(MAX_DOCUMENT + 1)))).toEqual(refusal('too-large'))
  // Brackets and commas in a text are none.
  const texts = { a: '[[[{{{,,,'.repeat(10_000), b: '\\"[{' }
  const annotated = { schemaVersion: 2, manifests: [], annotations: texts }
  expect(parseDocument(Buffer.from(JSON.stringify(annotated))).annotations).toEqual(texts)
  for (const hostile of ['['.repeat(1_000_000), `[${'{},'.repeat(1_000_000)}1]`])
    expect(thrown(() => parseDocument(Buffer.from(hostile)))).toEqual(refusal('bad-input', /more than|deeper/))
})
