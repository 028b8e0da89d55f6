import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Digest, encodeManifest, FleetError, sha256 } from '../../../protocol/index.ts'
import { BUNDLE_MAGIC, type BundleParts, bundleOf, readBundle } from '../../../rollout/index.ts'
import { manifestOf } from '../../support/manifest.ts'
import { memorySource } from './bundle-support.ts'
import { noise } from './support.ts'

const KIB = 1024
const contents = [1, 2, 3, 1, 4].map(seed => noise(20 * KIB + seed, seed))
const index = contents.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength }))
const manifestBytes = encodeManifest(manifestOf(index, { version: 'v2' }))
const PARTS: BundleParts = {
  head: { fleet: 'f'.repeat(64), image: sha256(manifestBytes), since: null },
  statements: [
    { kind: 'plan', bytes: Buffer.from('a plan') },
    { kind: 'policy', bytes: Buffer.from('policy 2') },
    { kind: 'policy', bytes: Buffer.from('policy 3') },
  ],
  manifest: manifestBytes,
  endorsement: Buffer.from('a signature'),
  index,
  without: new Set<Digest>(),
}

function written(parts: BundleParts = PARTS): Buffer {
  const { before, chunks } = bundleOf(parts)
  return Buffer.concat([
    before,
    ...chunks.map(({ digest }) => contents[index.findIndex(ref => ref.digest === digest)]!),
  ])
}

/** Reads a bundle to its end, and every chunk that `wanted` says. */
async function read(bytes: Uint8Array, wanted: (at: number) => boolean = () => true) {
  const source = memorySource(bytes)
  const seen: string[] = []
  const chunks = new Map<number, string>()
  for await (const part of readBundle(source)) {
    seen.push(part.type === 'statement' ? `${part.kind} ${Buffer.from(part.bytes)}` : part.type)
    if (part.type === 'chunk' && wanted(part.at)) chunks.set(part.at, (await part.take()).digest)
  }
  return { seen, chunks, source }
}

test('a bundle is read as it was written: policies before plans, each different chunk once', async () => {
  const { seen, chunks } = await read(written())
  expect(seen.slice(0, 6)).toEqual(['head', 'policy policy 2', 'policy policy 3', 'plan a plan', 'image', 'index'])
  expect([...chunks]).toEqual([0, 1, 2, 4].map(at => [at, index[at]!.digest]))
})

test('what another image has is left out, and chunks that nobody takes are passed over unread', async () => {
  const without = new Set([index[1]!.digest])
  const whole = written()
  const less = written({ ...PARTS, without })
  expect(whole.byteLength - less.byteLength).toBe(index[1]!.length)
  expect([...(await read(less)).chunks.keys()]).toEqual([0, 2, 4])
  const { chunks, source } = await read(whole, at => at === 2)
  expect([...chunks.keys()]).toEqual([2])
  expect(source.given).toBeLessThan(index[2]!.length + 1000)
})

test('cut anywhere it is refused before its first chunk is read where its size is known, and at the cut where it is not', async () => {
  const bytes = written()
  const { before } = bundleOf(PARTS)
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: bytes.byteLength - 1 }), fc.boolean(), async (length, sizeKnown) => {
      const source = memorySource(bytes.subarray(0, length), sizeKnown)
      const taken: Digest[] = []
      const reading = (async () => {
        for await (const part of readBundle(source)) if (part.type === 'chunk') taken.push((await part.take()).digest)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'corrupt' })
      if (sizeKnown || length <= before.byteLength) expect(taken).toEqual([])
      for (const digest of taken) expect(index.map(ref => ref.digest)).toContain(digest)
    }),
    { numRuns: 60 },
  )
})

test('whatever byte is changed, no chunk comes of it that is not what the head names, and nothing large is asked for', async () => {
  const bytes = written()
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.byteLength - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const changed = Uint8Array.from(bytes)
      changed[at] = changed[at]! ^ by
      const source = memorySource(changed, false)
      try {
        for await (const part of readBundle(source)) {
          if (part.type === 'image') expect(sha256(part.bytes)).toBe(part.digest)
          if (part.type === 'chunk') {
            const chunk = await part.take()
            expect(sha256(chunk.bytes)).toBe(chunk.digest)
          }
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FleetError)
        expect(['corrupt', 'too-large']).toContain((error as FleetError).code)
        expect((error as FleetError).message).not.toContain('\n')
      }
      expect(source.largest).toBeLessThanOrEqual(256 * KIB)
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['an endless head', 'h', 2 ** 32 - 1, 'too-large'],
  ['a head of a kind that there is not', 'x', 4, 'corrupt'],
  ['chunks before anything else', 'c', 4, 'corrupt'],
])('%s is refused unread', async (_, letter, length, code) => {
  const head = Buffer.alloc(5)
  head.write(letter)
  head.writeUInt32BE(length, 1)
  const source = memorySource(Buffer.concat([BUNDLE_MAGIC, head, Buffer.alloc(4096)]), false)
  await expect(readBundle(source).next()).rejects.toMatchObject({ code })
  expect(source.given).toBe(BUNDLE_MAGIC.byteLength + 5)
})

test('statements without end are refused, and so is what goes on behind the end', async () => {
  const statements = Array.from({ length: 600 }, () => ({ kind: 'policy', bytes: Buffer.from('p') }) as const)
  await expect(read(written({ ...PARTS, statements }))).rejects.toMatchObject({ code: 'too-large' })
  await expect(read(Buffer.concat([written(), Buffer.from('x')]))).rejects.toThrow('goes on behind its end')
  await expect(read(Buffer.from('PK\x03\x04 a zip file, and no bundle at all'))).rejects.toThrow('no bundle')
})
