import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { download } from '../../../daemon/images/download.ts'
import { createHeardLikes } from '../../../daemon/images/heard-likes.ts'
import { createPacer, type Pacer } from '../../../daemon/images/pacer.ts'
import { createPartReader } from '../../../daemon/images/parts.ts'
import type { Throttle, ThrottleLimits } from '../../../daemon/images/throttle.ts'
import { createTraffic } from '../../../daemon/images/traffic.ts'
import { serve } from '../../../daemon/images/upload.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../daemon/images/wire.ts'
import type { Channel, Network } from '../../../daemon/network/index.ts'
import { memoryChannel } from '../../../daemon/network/memory-channel.ts'
import { CHUNK, type ChunkRef, millis, seededRandom, sha256 } from '../../../protocol/index.ts'
import { type ImageStore, type StoredImage, type VerifiedChunk, verifyChunk } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { quiet } from '../network/support.ts'
import { throttled, unpaced, unthrottled } from './support.ts'

const [SELF, PEER] = [nodeNumber(1), nodeNumber(2)]
const contents = Array.from({ length: 6 }, () => randomBytes(40_000))
const indexOf = (chunks: readonly Uint8Array[]): readonly ChunkRef[] =>
  chunks.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength }))
const index = indexOf(contents)

const storeOf = (image: StoredImage, chunks: readonly Uint8Array[]) => {
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

/** Fetches the image over one channel; gives what was said on it, in its order, and what is held in the end. */
async function transfer(
  up: Throttle,
  down: Throttle,
  pacer: Pacer = unpaced,
  chunks: readonly Uint8Array[] = contents,
) {
  const image = {
    ...{ digest: sha256(Buffer.from('image')), index: indexOf(chunks), manifest: { name: 'shop', version: '1' } },
  } as StoredImage
  const said: Message[] = []
  const [ours, theirs] = memoryChannel(SELF, PEER, (_from, _to, action) => setImmediate(action))
  const tapped = (channel: Channel): Channel => ({
    ...channel,
    send(frame) {
      said.push(decodeMessage(frame))
      return channel.send(frame)
    },
  })
  const shared = { traffic: createTraffic(), log: quiet }
  void serve(tapped(theirs), {
    ...shared,
    store: storeOf(image, chunks).store,
    throttle: up,
    likes: createHeardLikes(() => millis(Date.now())),
    opened: () => () => {},
  })
  const { held, store } = storeOf(image, [])
  await download(
    {
      ...{ ...shared, image, store, throttle: down, pacer, random: seededRandom(1), stored() {}, progressed() {} },
      network: { self: SELF, openChannel: async () => tapped(ours) } as unknown as Network,
      providers: () => [PEER],
      isNear: () => true,
      now: () => millis(Date.now()),
    },
    AbortSignal.timeout(20_000),
  )
  return { said, held }
}
const limitOf = (change: Partial<ThrottleLimits>): Throttle =>
  throttled(() => ({ zones: {}, budget: undefined, ...change }))

test('without limits chunks come whole, and nobody speaks of credit', async () => {
  const { said, held } = await transfer(unthrottled, unthrottled)
  expect([...held.keys()].sort()).toEqual(index.map(({ digest }) => digest).sort())
  expect(new Set(said.map(({ type }) => type))).toEqual(new Set(['open', 'bitmap', 'request', 'chunk']))
})

test.each([
  ['of all', { total: 200_000 }],
  ['of a zone', { zones: { far: 200_000 } }],
] as const)('a limit %s on the way out sends them in parts, which make up the same chunks', async (_, limits) => {
  const { said, held } = await transfer(limitOf(limits), unthrottled)
  for (const { digest } of index) expect(held.has(digest)).toBe(true)
  const types = new Set(said.map(({ type }) => type))
  expect(types.has('part')).toBe(true)
  expect(types.has('chunk')).toBe(false)
  for (const message of said) if (message.type === 'part') expect(message.bytes.byteLength).toBeLessThan(10_000)
})

test('a limit on the way in gives credit, and no byte comes without it', async () => {
  const { said, held } = await transfer(unthrottled, limitOf({ total: 200_000 }))
  for (const { digest } of index) expect(held.has(digest)).toBe(true)
  let credit = 0
  for (const message of said) {
    if (message.type === 'credit') credit += message.bytes!
    if (message.type === 'part') credit -= message.bytes.byteLength
    expect(credit).toBeGreaterThanOrEqual(0)
    expect(message.type).not.toBe('chunk')
  }
})

test('of a link that nothing is known of little is asked at first, and all of it at once when it turns out to be fast', async () => {
  const many = Array.from({ length: 40 }, () => randomBytes(40_000))
  const { said, held } = await transfer(
    unthrottled,
    unthrottled,
    createPacer(() => millis(Date.now())),
    many,
  )
  for (const bytes of many) expect(held.has(sha256(bytes))).toBe(true)
  const freed = said.findIndex(message => message.type === 'credit' && message.bytes === null)
  const [before, after] = [said.slice(0, freed), said.slice(freed)]
  let credit = 0
  let most = 0
  for (const message of before) {
    if (message.type === 'credit') credit += message.bytes!
    if (message.type === 'part') credit -= message.bytes.byteLength
    expect(credit).toBeGreaterThanOrEqual(0)
    expect(message.type).not.toBe('chunk')
    most = Math.max(most, credit)
  }
  expect(most).toBeGreaterThan(64 * 1024)
  expect(said.find(message => message.type === 'credit' && message.bytes !== 0)).toEqual({
    type: 'credit',
    bytes: 1_400,
  })
  expect(after.some(({ type }) => type === 'chunk')).toBe(true)
})

test('a limit that is lifted in the middle of a transfer lets the rest pass at once, whole', async () => {
  let limits: ThrottleLimits = { total: 10_000, zones: {}, budget: undefined }
  const lifted = setTimeout(() => {
    limits = { zones: {}, budget: undefined }
  }, 300)
  const { said, held } = await transfer(
    unthrottled,
    throttled(() => limits),
  )
  clearTimeout(lifted)
  for (const { digest } of index) expect(held.has(digest)).toBe(true)
  expect(said.some(({ type }) => type === 'part')).toBe(true)
  expect(said).toContainEqual({ type: 'credit', bytes: null })
  expect(said.some(({ type }) => type === 'chunk')).toBe(true)
})

test('parts without end, empty ones and parts of anything but a chunk are refused', () => {
  const half = new Uint8Array(CHUNK.max / 2 + 32)
  const endless = createPartReader()
  expect(endless.take({ type: 'part', last: false, bytes: half })).toBeUndefined()
  expect(endless.take({ type: 'part', last: false, bytes: half })).toBeUndefined()
  expect(() => endless.take({ type: 'part', last: false, bytes: Uint8Array.of(1) })).toThrow(/longer than any/)
  const empty = { type: 'part', last: false, bytes: new Uint8Array() } as const
  expect(() => createPartReader().take(empty)).toThrow()
  const other = encodeMessage({ type: 'has', indexes: [1] })
  expect(() => createPartReader().take({ type: 'part', last: true, bytes: other })).toThrow(/only a chunk/)
  const nested = encodeMessage({ type: 'part', last: true, bytes: other })
  expect(() => createPartReader().take({ type: 'part', last: true, bytes: nested })).toThrow(/only a chunk/)
})

test('the longest chunk comes in parts of one byte, and the next one after it', () => {
  const bytes = randomBytes(CHUNK.max)
  const frame = encodeMessage({ type: 'chunk', index: 70_000, bytes })
  const reader = createPartReader()
  for (let at = 0; at < frame.byteLength - 1; at++)
    reader.take({ type: 'part', last: false, bytes: frame.subarray(at, at + 1) })
  expect(reader.take({ type: 'part', last: true, bytes: frame.subarray(-1) })).toEqual({
    type: 'chunk',
    index: 70_000,
    bytes,
  })
  const next = encodeMessage({ type: 'chunk', index: 1, bytes: Buffer.from('next') })
  expect(reader.take({ type: 'part', last: true, bytes: next })).toMatchObject({ index: 1, bytes: Buffer.from('next') })
})
