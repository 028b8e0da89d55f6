import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { download } from '../../../daemon/images/download.ts'
import { createHeardLikes } from '../../../daemon/images/heard-likes.ts'
import { createTraffic } from '../../../daemon/images/traffic.ts'
import { serve, type Upload } from '../../../daemon/images/upload.ts'
import { decodeMessage, encodeMessage, MAX_INDEXES, type Message } from '../../../daemon/images/wire.ts'
import type { Channel, Network } from '../../../daemon/network/index.ts'
import { type ChunkRef, type Digest, millis, seededRandom, sha256 } from '../../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { eventually } from '../../support/wait.ts'
import { quiet } from '../network/support.ts'
import { unpaced, unthrottled } from './support.ts'

const [SELF, PEER] = [nodeNumber(1), nodeNumber(2)]
const contents = Array.from({ length: 500 }, (_, at) => Buffer.from(`chunk ${at}`))
const index: readonly ChunkRef[] = contents.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength }))
const image = { digest: sha256(Buffer.from('image')), index, manifest: { name: 'shop', version: '1' } } as StoredImage

/** A channel whose other end says `messages`, and whose frames are taken when `take` says so. */
function channel(messages: AsyncIterable<Message>, take: () => Promise<void>) {
  const sent: Message[] = []
  let read = 0
  const made: Channel = {
    peer: PEER,
    receivedBytes: 0,
    frames: (async function* () {
      for await (const message of messages) {
        read += 1
        yield encodeMessage(message)
      }
    })(),
    async send(frame) {
      sent.push(decodeMessage(frame))
      await take()
    },
    close() {},
  }
  return { channel: made, sent, read: () => read }
}

const never = new Promise<never>(() => {})

test('a peer that sends chunks faster than the disk takes them is read no further', async () => {
  const flood = channel(
    (async function* () {
      yield { type: 'bitmap', has: new Uint8Array(63).fill(255), patches: false } as const
      for (const [at, bytes] of contents.entries()) yield { type: 'chunk', index: at, bytes } as const
    })(),
    async () => {},
  )
  let putting = 0
  const put = () => {
    putting += 1
    return never
  }
  const stop = new AbortController()
  const done = download(
    {
      image,
      store: { has: () => false, put } as unknown as ImageStore,
      network: { self: SELF, openChannel: async () => flood.channel } as unknown as Network,
      traffic: createTraffic(),
      throttle: unthrottled,
      pacer: unpaced,
      providers: () => [PEER],
      isNear: () => true,
      now: () => millis(Date.now()),
      random: seededRandom(1),
      log: quiet,
      stored() {},
      progressed() {},
    },
    stop.signal,
  )
  await eventually('chunks on their way to the disk', () => putting >= 32)
  for (let turn = 0; turn < 100; turn++) await nextTurn()
  // 2 MiB, where each counts for 64 KiB at least.
  expect(putting).toBe(32)
  expect(flood.read()).toBe(33)
  stop.abort()
  await expect(done).rejects.toMatchObject({ code: 'timeout' })
})

test.each([
  ['before the image is open', 1, false],
  ['of a chunk before the first', -1, true],
  ['of a chunk after the last', 500, true],
])(
  'a peer that says what it has in the place %s is not one of ours, and nothing is kept of it',
  async (_, index, open) => {
    const bad = channel(
      (async function* () {
        if (open) yield { type: 'open', image: image.digest, accepts: [] } as const
        yield { type: 'like', index, salt: new Uint8Array(8), names: new Uint8Array(8) } as const
        await never
      })(),
      async () => {},
    )
    await serve(bad.channel, {
      store: { image: (_: Digest) => image, has: () => false } as unknown as ImageStore,
      traffic: createTraffic(),
      throttle: unthrottled,
      likes: createHeardLikes(() => millis(Date.now())),
      log: quiet,
      opened: () => () => {},
    })
    expect(bad.read()).toBe(open ? 2 : 1)
  },
)

test('a peer that does not read is told of new chunks in one message, when it reads again', async () => {
  let reads = (): void => {}
  let reading = Promise.resolve()
  const deaf = channel(
    (async function* () {
      yield { type: 'open', image: image.digest, accepts: [] } as const
      await never
    })(),
    () => reading,
  )
  let upload: Upload | undefined
  void serve(deaf.channel, {
    store: { image: (_: Digest) => image, has: () => false } as unknown as ImageStore,
    traffic: createTraffic(),
    throttle: unthrottled,
    likes: createHeardLikes(() => millis(Date.now())),
    log: quiet,
    opened(given) {
      upload = given
      return () => {}
    },
  })
  await eventually('the bitmap', () => deaf.sent.length === 1)
  reading = new Promise(resolve => {
    reads = resolve
  })
  upload!.tell(0)
  await eventually('the first news', () => deaf.sent.length === 2)
  for (let at = 1; at < MAX_INDEXES + 10; at++) upload!.tell(at)
  for (let turn = 0; turn < 100; turn++) await nextTurn()
  expect(deaf.sent).toHaveLength(2)
  reading = Promise.resolve()
  reads()
  await eventually('the rest', () => deaf.sent.length === 4)
  const told = deaf.sent.slice(1).flatMap(message => (message.type === 'has' ? message.indexes : []))
  expect(told).toEqual(Array.from({ length: MAX_INDEXES + 10 }, (_, at) => at))
})
