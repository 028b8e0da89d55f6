import { CHUNK, FleetError } from '../../protocol/index.ts'
import type { Channel } from '../network/index.ts'
import type { Pacer } from './pacer.ts'
import type { Throttle } from './throttle.ts'
import { decodeMessage, encodeMessage, type Message } from './wire.ts'

/*
 * Chunks in parts, where a limit says how many bytes may pass in a second: a chunk is up to 256 KiB, which is more than slow links may carry in
 * one. The sender waits with each part until its own limits allow it and the receiver has given credit for it, as in HTTP/2 (RFC 9113, 5.2).
 */

/** The longest part. Bytes. */
const LONGEST = 64 * 1024
/** What a message takes beside the chunk in it, at most. Bytes. */
const FRAMING = 64
/** The longest message that comes in parts. Bytes. */
const LONGEST_MESSAGE = CHUNK.max + FRAMING

/** Sends messages as the limits allow: whole where there are none. One message at a time. */
export interface PartSender {
  /** Resolves when all of it was handed on. `inParts`: the receiver takes parts; `headroom` as of a channel. Rejects when the channel is gone or the signal is aborted. */
  send(frame: Uint8Array, inParts: boolean, headroom: number): Promise<void>
  /** The receiver has told how much more it takes; null: as much as there is. */
  credit(bytes: number | null): void
}

export function createPartSender(channel: Channel, throttle: Throttle, signal: AbortSignal): PartSender {
  let credit = Number.POSITIVE_INFINITY
  let wake = (): void => {}
  signal.addEventListener('abort', () => wake(), { once: true })

  const credited = async (): Promise<void> => {
    while (credit <= 0) {
      signal.throwIfAborted()
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  return {
    async send(frame, inParts, headroom) {
      if (!inParts) {
        for (let at = 0; at < frame.byteLength; ) at += await throttle.take(channel.peer, frame.byteLength - at, signal)
        return channel.send(frame, headroom)
      }
      for (let at = 0; at < frame.byteLength; ) {
        if (at === 0 && credit === Number.POSITIVE_INFINITY && !throttle.limits(channel.peer))
          return channel.send(frame, headroom)
        await credited()
        const most = Math.min(frame.byteLength - at, credit, LONGEST)
        const end = at + (await throttle.take(channel.peer, most, signal))
        credit -= end - at
        const last = end === frame.byteLength
        await channel.send(encodeMessage({ type: 'part', last, bytes: frame.subarray(at, end) }))
        at = end
      }
    },
    credit(bytes) {
      if (bytes === null) credit = Number.POSITIVE_INFINITY
      else credit = (credit === Number.POSITIVE_INFINITY ? 0 : credit) + bytes
      wake()
    },
  }
}

/** Puts parts together again. */
export interface PartReader {
  /** The message that this part ends; undefined while more has to come. Throws `too-large` or `corrupt` on what can be no message. */
  take(part: Extract<Message, { type: 'part' }>): Message | undefined
}

export function createPartReader(): PartReader {
  /** All parts together: each by itself would be an object, and one may have a single byte. */
  let held = Buffer.alloc(0)
  let bytes = 0
  return {
    take(part) {
      const from = bytes
      bytes += part.bytes.byteLength
      if (bytes > LONGEST_MESSAGE || (part.bytes.byteLength === 0 && !part.last))
        throw new FleetError('too-large', 'parts of a message that is longer than any')
      if (held.byteLength < bytes) {
        const larger = Buffer.allocUnsafeSlow(Math.min(LONGEST_MESSAGE, Math.max(bytes, 2 * held.byteLength)))
        held.copy(larger, 0, 0, from)
        held = larger
      }
      held.set(part.bytes, from)
      if (!part.last) return undefined
      const message = decodeMessage(held.subarray(0, bytes))
      held = Buffer.alloc(0)
      bytes = 0
      if (message.type !== 'chunk' && message.type !== 'packed' && message.type !== 'patch')
        throw new FleetError('corrupt', 'only a chunk comes in parts')
      return message
    },
  }
}

/** Gives a sender credit for what it was asked for, as this node's own limits and its link allow. */
export interface Creditor {
  /** Something more was asked for, or the limits may have changed. */
  consider(): void
  /** So many bytes came in parts. */
  came(bytes: number): void
  /** Whether the sender has to wait for this node. */
  starves(): boolean
  close(): void
}

export function createCreditor(init: {
  readonly channel: Channel
  readonly throttle: Throttle
  readonly pacer: Pacer
  /** What the sender was asked for and has not sent. */
  readonly asked: () => { readonly bytes: number; readonly chunks: number }
  readonly signal: AbortSignal
}): Creditor {
  const { channel, throttle, pacer } = init
  const lane = pacer.lane()
  const closing = new AbortController()
  const signal = AbortSignal.any([init.signal, closing.signal])
  /** Credit that was not used yet; undefined while the sender may send what it likes. */
  let unused: number | undefined
  let giving = false

  const lacks = (): number => {
    const { bytes, chunks } = init.asked()
    return bytes + chunks * FRAMING - (unused ?? 0)
  }
  const give = async (): Promise<void> => {
    while (!signal.aborted) {
      if (pacer.free && !throttle.limits(channel.peer)) {
        lane.settled(0)
        if (unused === undefined) return
        unused = undefined
        return channel.send(encodeMessage({ type: 'credit', bytes: null }))
      }
      if (unused === undefined) {
        unused = 0
        await channel.send(encodeMessage({ type: 'credit', bytes: 0 }))
      }
      if (lacks() <= 0) return lane.settled(init.asked().bytes)
      const paced = pacer.free ? lacks() : await lane.take(lacks, signal)
      // Of what this node's own limits do not allow at once the rest is asked for again, and counts as on its way once only.
      for (let left = paced; left > 0; ) {
        const bytes = await throttle.take(channel.peer, left, signal)
        left -= bytes
        unused += bytes
        await channel.send(encodeMessage({ type: 'credit', bytes }))
      }
    }
  }
  const consider = (): void => {
    // It may wait for leave to send what nobody waits for any more.
    if (giving && init.asked().bytes === 0) lane.settled(0)
    if (giving) return
    giving = true
    give()
      .catch(() => undefined) // the channel is gone, and whoever reads it knows
      .finally(() => {
        giving = false
      })
  }
  return {
    consider,
    came(bytes) {
      lane.came(bytes)
      if (unused !== undefined) unused = Math.max(0, unused - bytes)
      consider()
    },
    starves: () => unused !== undefined && unused <= 0,
    close() {
      closing.abort()
      lane.settled(0)
    },
  }
}
