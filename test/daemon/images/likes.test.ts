import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { download } from '../../../daemon/images/download.ts'
import { createTraffic } from '../../../daemon/images/traffic.ts'
import { serve } from '../../../daemon/images/upload.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../daemon/images/wire.ts'
import type { Channel, Network } from '../../../daemon/network/index.ts'
import { memoryChannel } from '../../../daemon/network/memory-channel.ts'
import { type Digest, millis, seededRandom, sha256 } from '../../../protocol/index.ts'
import { type ImageStore, type StoredImage, type VerifiedChunk, verifyChunk } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { quiet } from '../network/support.ts'
import { unpaced, unthrottled } from './support.ts'

// A version is here, the next one comes: what is in both travels once, also where a chunk is not the same.

const [SELF, PEER] = [nodeNumber(1), nodeNumber(2)]
const old = Array.from({ length: 12 }, () => randomBytes(60_000))
const edited = (bytes: Uint8Array): Buffer => {
  const next = Buffer.from(bytes)
  next.set(randomBytes(1_000), 20_000)
  return next
}
const next = old.map((bytes, at) => (at % 4 === 1 ? edited(bytes) : bytes))
const sizeOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)
const changed = next.filter(bytes => !old.includes(bytes as Buffer<ArrayBuffer>))

const imageOf = (version: string, chunks: readonly Uint8Array[]) =>
  ({
    digest: sha256(Buffer.from(version)),
    index: chunks.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength })),
    manifest: { name: 'shop', version },
  }) as unknown as StoredImage

function storeOf(images: readonly StoredImage[], chunks: readonly Uint8Array[]) {
  const held = new Map(chunks.map(bytes => [sha256(bytes), verifyChunk(sha256(bytes), bytes)!]))
  const store = {
    images: () => images,
    image: (digest: Digest) => images.find(each => each.digest === digest),
    has: digest => held.has(digest),
    read: async digest => held.get(digest)?.bytes,
    put: async (chunk: VerifiedChunk) => void held.set(chunk.digest, chunk),
  } as Partial<ImageStore> as ImageStore
  return { held, store }
}

/** Fetches the second version onto a host that has `before`; `change` stands between the two ends. */
async function fetchNext(
  before: readonly Uint8Array[],
  change: (message: Message) => Message = message => message,
  local = storeOf([imageOf('1', before), imageOf('2', next)], before),
) {
  const said: Message[] = []
  const [ours, theirs] = memoryChannel(SELF, PEER, (_from, _to, action) => setImmediate(action))
  const tapped = (channel: Channel): Channel => ({
    ...channel,
    send(frame) {
      const message = change(decodeMessage(frame))
      said.push(message)
      return channel.send(encodeMessage(message))
    },
  })
  const shared = { log: quiet, throttle: unthrottled }
  const image = imageOf('2', next)
  void serve(tapped(theirs), {
    ...{ ...shared, store: storeOf([image], next).store, traffic: createTraffic(), opened: () => () => {} },
  })
  const traffic = createTraffic()
  await download(
    {
      ...{ ...shared, image, store: local.store, traffic, pacer: unpaced, random: seededRandom(1) },
      network: { self: SELF, openChannel: async () => tapped(ours) } as unknown as Network,
      ...{ providers: () => [PEER], isNear: () => true, now: () => millis(Date.now()), stored() {}, progressed() {} },
    },
    AbortSignal.timeout(20_000),
  )
  for (const bytes of next) expect(local.held.has(sha256(bytes))).toBe(true)
  return {
    types: said.map(({ type }) => type),
    received: traffic.total().received,
    banned: traffic.of(image.digest).get(PEER)?.banned,
  }
}

test('of a chunk that was edited comes little more than the edit, and it is the chunk to the byte', async () => {
  const { types, received } = await fetchNext(old)
  expect(types.filter(type => type === 'patch')).toHaveLength(changed.length)
  expect(received).toBeLessThan(changed.length * 5_000)
})

test('a peer that does not know of it sends chunks whole', async () => {
  const { types, received } = await fetchNext(old, message =>
    message.type === 'bitmap' ? { ...message, patches: false } : message,
  )
  expect(types).not.toContain('like')
  expect(received).toBe(sizeOf(changed))
})

test('nothing is said of an image that has nothing in common', async () => {
  const { types } = await fetchNext(Array.from({ length: 12 }, () => randomBytes(60_000)))
  expect(types).not.toContain('like')
})

test('a patch that makes something else is asked for once more, whole, and nobody is banned for it', async () => {
  const { types, banned } = await fetchNext(old, message =>
    message.type === 'patch' ? { ...message, length: 0, bytes: randomBytes(50) } : message,
  )
  expect(types.filter(type => type === 'chunk')).toHaveLength(changed.length)
  expect(banned).toBeUndefined()
})

test('what was compared with may be gone when the patch comes', async () => {
  const local = storeOf([imageOf('1', old), imageOf('2', next)], old)
  await fetchNext(
    old,
    message => {
      if (message.type === 'patch') for (const bytes of old) if (!next.includes(bytes)) local.held.delete(sha256(bytes))
      return message
    },
    local,
  )
})
