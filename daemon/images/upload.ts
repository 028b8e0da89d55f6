import type { Logger } from 'pino'
import { type ChunkRef, type Digest, toFleetError } from '../../protocol/index.ts'
import { HEADROOM, type ImageStore } from '../../rollout/index.ts'
import type { Channel } from '../network/index.ts'
import type { HeardLikes } from './heard-likes.ts'
import { looksPackable, type Packing, pack } from './packing.ts'
import { createPartSender } from './parts.ts'
import { createPays } from './pays.ts'
import type { Throttle } from './throttle.ts'
import type { Traffic } from './traffic.ts'
import { CHUNK_HEAD, decodeMessage, encodeChunkBefore, encodeMessage, MAX_INDEXES } from './wire.ts'

/** New chunks are told of together this often, milliseconds. */
const TELL_EVERY = 50
/** Chunks that one peer may have waiting; who asks for more at once is not one of ours. */
const MAX_WAITING = 4_096

/** What a patch has to be smaller than, as a share of its chunk. */
const WORTH = 0.9

/** A peer that downloads an image from this node. */
export interface Upload {
  readonly image: Digest
  /** This node has got these chunks just now. */
  tell(index: number): void
  close(): void
}

/** Serves one channel until it closes: one chunk after the other, so that back-pressure shares the uplink fairly between peers. */
export async function serve(
  channel: Channel,
  init: {
    store: ImageStore
    traffic: Traffic
    throttle: Throttle
    likes: HeardLikes
    log: Logger
    opened: (upload: Upload) => () => void
  },
): Promise<void> {
  const { store, traffic, log } = init
  const waiting = new Set<number>()
  const likes = init.likes.of(channel.peer)
  let image: Digest | undefined
  let index: readonly ChunkRef[] = []
  let sending = false
  let accepts: readonly (Packing | 'parts')[] = []
  const over = new AbortController()
  const parts = createPartSender(channel, init.throttle, over.signal)
  const pays = createPays(performance.now())
  const news: number[] = []
  let timer: NodeJS.Timeout | undefined
  let closed: (() => void) | undefined

  /** One message at a time: to a peer that does not read, news gather as numbers and not as frames. */
  const flush = async (): Promise<void> => {
    while (news.length > 0) await channel.send(encodeMessage({ type: 'has', indexes: news.splice(0, MAX_INDEXES) }))
    timer = undefined
  }
  /** As what differs from what the peer has; false where that is most of it. */
  const sendPatch = async (at: number, bytes: Uint8Array): Promise<boolean> => {
    const patch = likes.patch(at, bytes)
    if (patch === undefined || patch.byteLength > WORTH * bytes.byteLength) return false
    const packed = accepts.includes('br') && looksPackable(patch) ? await pack(patch) : undefined
    const message = { index: at, length: packed === undefined ? 0 : patch.byteLength, bytes: packed ?? patch }
    await parts.send(encodeMessage({ type: 'patch', ...message }), accepts.includes('parts'), 0)
    traffic.at(image!, channel.peer).sent += message.bytes.byteLength
    return true
  }
  const send = async (at: number, bytes: Uint8Array, hasHeadroom: boolean): Promise<void> => {
    if (await sendPatch(at, bytes)) return
    const start = performance.now()
    const tries = accepts.includes('br') && pays.packs && looksPackable(bytes)
    const packed = tries ? await pack(bytes) : undefined
    const packing = tries ? performance.now() - start : 0
    await parts.send(
      packed !== undefined
        ? encodeMessage({ type: 'packed', index: at, packing: 'br', bytes: packed })
        : hasHeadroom
          ? encodeChunkBefore(at, bytes)
          : encodeMessage({ type: 'chunk', index: at, bytes }),
      accepts.includes('parts'),
      packed === undefined && hasHeadroom ? HEADROOM - CHUNK_HEAD : 0,
    )
    pays.sent(performance.now(), { bytes: bytes.byteLength, packing })
    traffic.at(image!, channel.peer).sent += (packed ?? bytes).byteLength
  }
  const read = async (at: number): Promise<{ bytes: Uint8Array | undefined; hasHeadroom: boolean }> => {
    const { digest, length } = index[at]!
    // The peer compares it with its digest, and here a checksum tells rot. Not allocated for many: it is gone from here once it was sent.
    const into = Buffer.allocUnsafeSlow(HEADROOM + length)
    try {
      const bytes = await store.read(digest, into)
      return { bytes, hasHeadroom: bytes?.buffer === into.buffer }
    } catch (error) {
      log.error({ err: error, image }, 'a chunk that is asked for is damaged')
      return { bytes: undefined, hasHeadroom: false }
    }
  }
  const pump = async (): Promise<void> => {
    if (sending) return
    sending = true
    try {
      /** The one after, which is read while one is sent; it may be cancelled until it is its turn. */
      let ahead: { readonly at: number; readonly reading: ReturnType<typeof read> } | undefined
      for (;;) {
        const [next] = waiting
        if (next === undefined) break
        const reading = ahead?.at === next ? ahead.reading : read(next)
        waiting.delete(next)
        const [after] = waiting
        ahead = after === undefined ? undefined : { at: after, reading: read(after) }
        const { bytes, hasHeadroom } = await reading
        if (bytes !== undefined) await send(next, bytes, hasHeadroom)
        else {
          likes.forget(next)
          await channel.send(encodeMessage({ type: 'refused', index: next }))
        }
      }
    } finally {
      sending = false
    }
  }

  try {
    for await (const frame of channel.frames) {
      const message = decodeMessage(frame)
      switch (message.type) {
        case 'open': {
          const found = store.image(message.image)
          if (image !== undefined || found === undefined) {
            await channel.send(encodeMessage({ type: 'bitmap', has: new Uint8Array(), patches: true }))
            return
          }
          image = message.image
          accepts = message.accepts
          index = found.index
          closed = init.opened({
            image,
            tell(at) {
              news.push(at)
              timer ??= setTimeout(() => void flush().catch(() => channel.close()), TELL_EVERY)
            },
            close: () => channel.close(),
          })
          await channel.send(encodeMessage({ type: 'bitmap', has: bitmapOf(store, index), patches: true }))
          break
        }
        case 'request':
          for (const at of message.indexes) if (at < index.length) waiting.add(at)
          if (waiting.size > MAX_WAITING) return
          pump().catch(() => channel.close())
          break
        case 'credit':
          parts.credit(message.bytes)
          break
        case 'like':
          // Before the image is open there is no chunk that it could be about.
          if (message.index < 0 || message.index >= index.length) return
          likes.hear(message)
          break
        case 'cancel':
          for (const at of message.indexes) {
            waiting.delete(at)
            likes.forget(at)
          }
          break
        default:
          return
      }
    }
  } catch (error) {
    log.debug({ peer: channel.peer, reason: toFleetError(error).message }, 'an upload ended')
  } finally {
    over.abort()
    likes.close()
    clearTimeout(timer)
    closed?.()
    channel.close()
  }
}

export function bitmapOf(store: ImageStore, index: readonly ChunkRef[]): Uint8Array {
  const bits = new Uint8Array(Math.ceil(index.length / 8))
  for (const [at, ref] of index.entries()) if (store.has(ref.digest)) bits[at >> 3] = bits[at >> 3]! | (1 << (at & 7))
  return bits
}
