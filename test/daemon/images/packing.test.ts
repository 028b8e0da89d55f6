import { randomBytes } from 'node:crypto'
import { brotliCompressSync, constants } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { download } from '../../../daemon/images/download.ts'
import { createHeardLikes } from '../../../daemon/images/heard-likes.ts'
import { looksPackable, pack, unpack } from '../../../daemon/images/packing.ts'
import { createPays } from '../../../daemon/images/pays.ts'
import { createTraffic } from '../../../daemon/images/traffic.ts'
import { serve } from '../../../daemon/images/upload.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../daemon/images/wire.ts'
import type { Channel, Network } from '../../../daemon/network/index.ts'
import { memoryChannel } from '../../../daemon/network/memory-channel.ts'
import { CHUNK, encode, millis, seededRandom, sha256 } from '../../../protocol/index.ts'
import { type ImageStore, type StoredImage, type VerifiedChunk, verifyChunk } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { eventually } from '../../support/wait.ts'
import { quiet } from '../network/support.ts'
import { unpaced, unthrottled } from './support.ts'

const brotli = (bytes: Uint8Array, window: number): Uint8Array =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_LGWIN]: window, [constants.BROTLI_PARAM_QUALITY]: 4 } })
/** Text of a few words, as long as wanted. */
const words = fc
  .array(fc.constantFrom('image', 'chunk', 'fleet', '{}', '\n  ', '0'), { minLength: 400, maxLength: 4000 })
  .map(parts => Buffer.from(parts.join(' ')))

describe('a packed chunk', () => {
  test('is smaller and the same when it is unpacked', async () => {
    await fc.assert(
      fc.asyncProperty(words, async bytes => {
        expect(looksPackable(bytes)).toBe(true)
        const packed = (await pack(bytes))!
        expect(packed.byteLength).toBeLessThan(bytes.byteLength)
        expect(Buffer.compare((await unpack(packed, bytes.byteLength))!, bytes)).toBe(0)
      }),
      { numRuns: 30 },
    )
  })

  test('has the length that it should have, or is none', async () => {
    const mebibytes = Buffer.alloc(64 * 2 ** 20)
    expect(await unpack(brotli(mebibytes, 18), CHUNK.max)).toBeUndefined()
    expect(await unpack(brotli(Buffer.alloc(CHUNK.max + 1), 18), CHUNK.max)).toBeUndefined()
    expect(await unpack(brotli(Buffer.alloc(CHUNK.max - 1), 18), CHUNK.max)).toBeUndefined()
    expect((await unpack(brotli(Buffer.alloc(CHUNK.max), 18), CHUNK.max))?.byteLength).toBe(CHUNK.max)
  })

  test('asks for no larger window than the largest chunk', async () => {
    expect(await unpack(brotli(Buffer.alloc(CHUNK.max), 24), CHUNK.max)).toBeUndefined()
  })

  test('is nothing or of the right length, whatever the bytes', async () => {
    const length = 5000
    const good = brotli(Buffer.from('chunk '.repeat(1000).slice(0, length)), 18)
    await fc.assert(
      fc.asyncProperty(fc.nat(good.byteLength - 1), fc.nat(255), fc.nat(good.byteLength), async (at, byte, end) => {
        const changed = Uint8Array.from(good).subarray(0, end)
        if (at < end) changed[at] = byte
        const bytes = await unpack(changed, length)
        expect(bytes === undefined || bytes.byteLength === length).toBe(true)
      }),
    )
  })

  test('is not tried of what is random or was compressed before', async () => {
    expect(looksPackable(randomBytes(64 * 1024))).toBe(false)
    const text = Buffer.from(randomBytes(48 * 1024).toString('base64'))
    expect(looksPackable(text)).toBe(true)
    expect(looksPackable(brotli(text, 18))).toBe(false)
    expect(looksPackable(new Uint8Array())).toBe(false)
    expect(await pack(randomBytes(64 * 1024))).toBeUndefined()
  })
})

describe('whether packing pays', () => {
  const CHUNK_SIZE = 64 * 1024
  /** Sends chunks over a link while the next one is packed, and gives the time and how many of the last hundred were packed. */
  const transfer = (link: number, packer: number, share: number, count = 1000) => {
    const pays = createPays(0)
    let now = 0
    let packedOfLast = 0
    for (let at = 0; at < count; at++) {
      const packing = pays.packs ? CHUNK_SIZE / packer : 0
      if (pays.packs && at >= count - 100) packedOfLast += 1
      now += Math.max(packing, (CHUNK_SIZE * (pays.packs ? share : 1)) / link)
      pays.sent(now, { bytes: CHUNK_SIZE, packing })
    }
    return { time: now, packedOfLast }
  }
  const perMs = (megabytes: number): number => megabytes * 1000

  test('everything is packed for a slow link, and hardly more than the first mebibyte for a fast one', () => {
    expect(transfer(perMs(4), perMs(50), 0.35).packedOfLast).toBe(100)
    expect(transfer(perMs(110), perMs(50), 0.35).packedOfLast).toBe(0)
  })

  test('nowhere does it take a tenth longer than the better of the two ways, but for a few mebibytes to find out', () => {
    const rate = fc.double({ min: 0.5, max: 1500, noNaN: true }).map(perMs)
    fc.assert(
      fc.property(rate, rate, fc.double({ min: 0.1, max: 0.95, noNaN: true }), (link, packer, share) => {
        const bytes = 1000 * CHUNK_SIZE
        const plain = bytes / link
        const packed = Math.max(bytes / packer, (bytes * share) / link)
        const findingOut = (4 * 2 ** 20) / Math.min(link, packer)
        // The packer has to be a third faster than the link before it is tried again: below that plain is kept.
        const best = packer * 0.75 > link ? Math.min(plain, packed) : plain
        expect(transfer(link, packer, share).time).toBeLessThanOrEqual(1.1 * best + findingOut)
      }),
      { numRuns: 500 },
    )
  })

  test('a peer that wants little is sent packed chunks again', () => {
    const pays = createPays(0)
    let now = 0
    for (; pays.packs; now += 1) pays.sent(now, { bytes: CHUNK_SIZE, packing: 1 })
    for (let at = 0; at < 100; at++, now += 0.1) pays.sent(now, { bytes: CHUNK_SIZE, packing: 0 })
    expect(pays.packs).toBe(false)
    for (let at = 0; at < 40; at++, now += 60) pays.sent(now, { bytes: CHUNK_SIZE, packing: 0 })
    expect(pays.packs).toBe(true)
  })
})

describe('chunks on a channel', () => {
  const [SELF, PEER] = [nodeNumber(1), nodeNumber(2)]
  const contents = [
    Buffer.from('every chunk of this image says the same. '.repeat(2000)),
    randomBytes(70_000),
    Buffer.from(JSON.stringify(Array.from({ length: 5000 }, (_, at) => ({ at, squared: at * at })))),
  ]
  const index = contents.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength }))
  const digest = sha256(Buffer.from('image'))
  const image = { digest, index, manifest: { name: 'shop', version: '1' } } as unknown as StoredImage
  const pair = (): readonly [Channel, Channel] =>
    memoryChannel(SELF, PEER, (_from, _to, action) => setImmediate(action))

  const storeOf = (chunks: readonly Uint8Array[]) => {
    const held = new Map(chunks.map(bytes => [sha256(bytes), verifyChunk(sha256(bytes), bytes)!]))
    const store = {
      images: () => [image],
      image: () => image,
      has: digest => held.has(digest),
      get: async digest => held.get(digest),
      read: async digest => held.get(digest)?.bytes,
      put: async (chunk: VerifiedChunk) => void held.set(chunk.digest, chunk),
    } as Partial<ImageStore> as ImageStore
    return { held, store }
  }
  const fetching = (channel: Channel, store: ImageStore, traffic = createTraffic()) => {
    const stop = new AbortController()
    const done = download(
      {
        ...{
          image,
          store,
          traffic,
          throttle: unthrottled,
          pacer: unpaced,
          log: quiet,
          random: seededRandom(1),
          stored() {},
          progressed() {},
        },
        network: { self: SELF, openChannel: async () => channel } as unknown as Network,
        providers: () => [PEER],
        isNear: () => true,
        now: () => millis(Date.now()),
      },
      stop.signal,
    )
    return { done, stop, traffic }
  }

  test('are packed where that makes them smaller, and arrive as they were', async () => {
    const [ours, theirs] = pair()
    const sender = createTraffic()
    void serve(theirs, {
      store: storeOf(contents).store,
      traffic: sender,
      throttle: unthrottled,
      likes: createHeardLikes(() => millis(Date.now())),
      log: quiet,
      opened: () => () => {},
    })
    const { held, store } = storeOf([])
    const { done, traffic } = fetching(ours, store)
    await done
    for (const { digest } of index) expect(held.has(digest)).toBe(true)
    const size = contents.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const { received } = traffic.total()
    expect(received).toBe(sender.total().sent)
    expect(received).toBeGreaterThan(70_000)
    expect(received).toBeLessThan(70_000 + (size - 70_000) / 3)
  })

  test('are plain for a peer that does not say that it unpacks them', async () => {
    const [ours, theirs] = pair()
    void serve(theirs, {
      store: storeOf(contents).store,
      traffic: createTraffic(),
      throttle: unthrottled,
      likes: createHeardLikes(() => millis(Date.now())),
      log: quiet,
      opened: () => () => {},
    })
    await ours.send(encode(['open', image.digest]))
    await ours.send(encodeMessage({ type: 'request', indexes: [0, 1, 2] }))
    const types: Message['type'][] = []
    for await (const frame of ours.frames) if (types.push(decodeMessage(frame).type) === 4) break
    expect(types).toEqual(['bitmap', 'chunk', 'chunk', 'chunk'])
  })

  test('that are packed and something else are taken from nobody, and who sends one is banned', async () => {
    for (const bytes of [brotli(Buffer.alloc(64 * 2 ** 20), 18), contents[1]!, brotli(contents[0]!, 18)]) {
      const [ours, theirs] = pair()
      const { held, store } = storeOf([])
      const { done, stop, traffic } = fetching(ours, store)
      await theirs.send(encodeMessage({ type: 'bitmap', has: Uint8Array.of(7), patches: false }))
      await theirs.send(encodeMessage({ type: 'packed', index: 2, packing: 'br', bytes }))
      await eventually('the ban', () => traffic.at(image.digest, PEER).banned !== undefined)
      expect(held.size).toBe(0)
      stop.abort()
      await expect(done).rejects.toMatchObject({ code: 'timeout' })
    }
  })
})
