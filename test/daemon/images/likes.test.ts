import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { describe, expect, test } from 'vitest'
import { download } from '../../../daemon/images/download.ts'
import { createHeardLikes } from '../../../daemon/images/heard-likes.ts'
import { createLikes } from '../../../daemon/images/likes.ts'
import { createTraffic } from '../../../daemon/images/traffic.ts'
import { serve } from '../../../daemon/images/upload.ts'
import { decodeMessage, encodeMessage, MAX_LIKES, type Message } from '../../../daemon/images/wire.ts'
import type { Channel, Network } from '../../../daemon/network/index.ts'
import { memoryChannel } from '../../../daemon/network/memory-channel.ts'
import { type Digest, decode, encode, LIMITS, millis, seededRandom, sha256 } from '../../../protocol/index.ts'
import { type ImageStore, type StoredImage, type VerifiedChunk, verifyChunk } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { eventually } from '../../support/wait.ts'
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
const nextOf = (chunks: readonly Buffer[], every: number): Buffer[] =>
  chunks.map((bytes, at) => (at % every === 1 ? edited(bytes) : bytes))
const next = nextOf(old, 4)
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
  after: readonly Uint8Array[] = next,
  local = storeOf([imageOf('1', before), imageOf('2', after)], before),
) {
  const warnings: string[] = []
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
  const log: Logger = Object.create(quiet, { warn: { value: (_: unknown, text: string) => void warnings.push(text) } })
  const shared = { log, throttle: unthrottled }
  const image = imageOf('2', after)
  void serve(tapped(theirs), {
    ...{ ...shared, store: storeOf([image], after).store, traffic: createTraffic(), opened: () => () => {} },
    likes: createHeardLikes(() => millis(Date.now())),
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
  for (const bytes of after) expect(local.held.has(sha256(bytes))).toBe(true)
  return {
    warnings,
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
  const { types } = await fetchNext(
    old,
    message => {
      if (message.type === 'patch') for (const bytes of old) if (!next.includes(bytes)) local.held.delete(sha256(bytes))
      return message
    },
    next,
    local,
  )
  expect(types).toContain('like')
  expect(types).toContain('patch')
})

/** The patch with one byte of the rest changed: it makes as many bytes, but others. */
const spoilt = (message: Message): Message => {
  if (message.type !== 'patch' || message.length > 0) return message
  const [steps, rest] = decode(message.bytes, LIMITS.channelFrame) as [number[], Uint8Array]
  const other = Buffer.from(rest)
  other[0]! ^= 1
  return { ...message, bytes: encode([steps, other]) }
}

test('a peer whose patches are wrong is told of nothing more after some, and named', async () => {
  const before = Array.from({ length: 40 }, () => randomBytes(60_000))
  const { types, warnings, banned } = await fetchNext(before, spoilt, nextOf(before, 2))
  expect(types.filter(type => type === 'like').length).toBeGreaterThanOrEqual(3)
  expect(types.filter(type => type === 'like').length).toBeLessThanOrEqual(8)
  expect(warnings).toEqual([expect.stringMatching(/has sent 3 patches that do not make their chunks/)])
  expect(banned).toBeUndefined()
})

test('what somebody else has brought when a patch turns out to be wrong is not asked for again', async () => {
  const local = storeOf([imageOf('1', old), imageOf('2', next)], old)
  const { types } = await fetchNext(
    old,
    message => {
      const bytes = message.type === 'patch' ? next[message.index]! : undefined
      if (bytes !== undefined) local.held.set(sha256(bytes), verifyChunk(sha256(bytes), bytes)!)
      return spoilt(message)
    },
    next,
    local,
  )
  expect(types).toContain('patch')
  expect(types).not.toContain('chunk')
})

test('a patch that is longer than its chunk is not looked at', async () => {
  const [before, chunk] = [randomBytes(600), randomBytes(600)]
  const image = imageOf('2', [chunk])
  const likes = createLikes(image, storeOf([image, imageOf('1', [before])], [before]).store)
  const byteForByte = encode([Array.from({ length: 600 }, () => -1), chunk])
  expect(await likes.patched({ type: 'patch', index: 0, length: 0, bytes: byteForByte })).toBeUndefined()
})

describe('a peer that answers nothing', () => {
  const before = Array.from({ length: 800 }, () => randomBytes(60))
  const after = before.map((bytes, at) => (at % 2 === 1 ? randomBytes(60) : bytes))
  const image = imageOf('2', after)
  const never = new Promise<never>(() => {})

  /** `answer`: what it says once it was asked, after which it reads nothing more. */
  function ask(answer: (indexes: readonly number[]) => readonly Message[]) {
    const said: Message[] = []
    let read = 0
    let asked: (indexes: readonly number[]) => void
    const request = new Promise<readonly number[]>(resolve => {
      asked = resolve
    })
    let deaf = false
    const channel: Channel = {
      peer: PEER,
      receivedBytes: 0,
      frames: (async function* () {
        yield encodeMessage({ type: 'bitmap', has: new Uint8Array(100).fill(255), patches: true })
        for (const message of answer(await request)) {
          read += 1
          yield encodeMessage(message)
        }
        await never
      })(),
      async send(frame) {
        const message = decodeMessage(frame)
        said.push(message)
        if (deaf) return never
        deaf = message.type === 'request'
        if (message.type === 'request') asked(message.indexes)
      },
      close() {},
    }
    const stop = new AbortController()
    const done = download(
      {
        ...{ image, store: storeOf([imageOf('1', before), image], before).store, traffic: createTraffic() },
        ...{ log: quiet, throttle: unthrottled, pacer: unpaced, random: seededRandom(1) },
        network: { self: SELF, openChannel: async () => channel } as unknown as Network,
        ...{ providers: () => [PEER], isNear: () => true, now: () => millis(Date.now()), stored() {}, progressed() {} },
      },
      stop.signal,
    )
    const ended = async (): Promise<void> => {
      stop.abort()
      await expect(done).rejects.toMatchObject({ code: 'timeout' })
    }
    return { said, request, read: () => read, ended }
  }

  test('is told of so many chunks and not more, however small they are', async () => {
    const { said, request, ended } = ask(() => [])
    expect((await request).length).toBeGreaterThan(300)
    expect(said.filter(({ type }) => type === 'like')).toHaveLength(MAX_LIKES)
    await ended()
  })

  test('and sends wrong patches holds no room of what is on its way to the disk', async () => {
    const { request, read, ended } = ask(indexes =>
      indexes.slice(0, 100).map(index => ({ type: 'patch', index, length: 0, bytes: randomBytes(9) })),
    )
    await request
    await eventually('all patches', () => read() === 100, { seconds: 10 })
    await ended()
  })
})
