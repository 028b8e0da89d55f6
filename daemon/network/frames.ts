import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { decode, encode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import type { Uint8ArrayList } from 'uint8arraylist'
import { FleetError } from '../../protocol/index.ts'
import { onStreamEnd } from './muxer.ts'

/** Frames of one stream that are read before everybody else gets a turn: some milliseconds of work. */
export const FRAMES_A_TURN = 64

/**
 * Pieces that one frame may come in: pieces of 64 bytes, and some. Each is kept as it came until the frame is whole, at some
 * 150 bytes on top of its own, so that a frame of 2 MiB in pieces of one byte would take 300 MiB.
 */
const mostPieces = (maxFrame: number): number => 1_024 + maxFrame / 64

/** A libp2p stream as length-prefixed frames. */
export interface Frames {
  /** The peer's frames. Ends when the peer ends its side or the connection goes; throws on a reset, and `corrupt` on a malformed frame or one over the limit. */
  readonly incoming: AsyncGenerator<Uint8Array, void, undefined>
  /** Resolves when our side is over: ended by us, reset by the peer, or gone with the connection. Never rejects. */
  readonly over: Promise<void>
  /** Bytes that have come from the peer, those of a frame that is not whole yet among them. */
  readonly receivedBytes: number
  /** Bytes that were given to `send` and that the transport has not taken yet. */
  readonly queuedBytes: number
  /**
   * Resolves once the transport took the frame, so that awaiting it is back-pressure. Rejects when the stream ends first. `headroom`: as many bytes
   * before the frame in its memory may be overwritten.
   */
  send(frame: Uint8Array, headroom?: number): Promise<void>
  /** Sends what is queued, then ends our side. Resolves when that is done or the stream is gone; never rejects. */
  end(): Promise<void>
  /** Ends both sides at once; the peer sees a reset. */
  abort(reason: Error): void
}

export function frames(stream: Stream, maxFrame: number): Frames {
  const outbox = createOutbox()
  const lost = (cause?: unknown) => outbox.fail(new Error('the stream was closed', { cause }))
  pipe(outbox.source, stream.sink).then(() => lost(), lost)
  onStreamEnd(stream, lost)
  let receivedBytes = 0
  const came = (bytes: number): void => {
    receivedBytes += bytes
  }
  return {
    incoming: framesIn(stream.source, maxFrame, came),
    over: outbox.over,
    get receivedBytes() {
      return receivedBytes
    },
    get queuedBytes() {
      return outbox.queuedBytes
    },
    send: frame => outbox.push(encode.single(frame)),
    end() {
      outbox.end()
      return outbox.over
    },
    abort(reason) {
      outbox.fail(reason)
      stream.abort(reason)
    },
  }
}

/** The frames that these bytes are; `came` is told how many came with each piece. Throws what their source throws, and `corrupt` on a malformed frame or one over the limit. */
export function framesIn(
  bytes: AsyncIterable<Uint8Array | Uint8ArrayList>,
  maxFrame: number,
  came: (bytes: number) => void = () => {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let pieces = 0
  return pipe(
    bytes,
    async function* (source) {
      for await (const piece of source) {
        if (++pieces > mostPieces(maxFrame)) throw new FleetError('corrupt', 'a frame comes in crumbs')
        came(piece.byteLength)
        yield piece
      }
    },
    source => decode(source, { maxDataLength: maxFrame, maxLengthLength: 5 }),
    async function* (source) {
      try {
        let taken = 0
        for await (const frame of source) {
          pieces = 0
          yield frame.subarray()
          // What has arrived is read without a turn of the loop in between: a mebibyte of the smallest frames holds it for a second.
          if (++taken % FRAMES_A_TURN === 0) await nextTurn()
        }
      } catch (error) {
        throw isMalformed(error) ? new FleetError('corrupt', `malformed frame: ${error.message}`) : error
      }
    },
  )
}

/** The bytes were read and make no sense, as opposed to a stream that was cut in the middle of a frame. */
function isMalformed(error: unknown): error is Error {
  return error instanceof Error && /^Invalid(MessageLength|DataLength|DataLengthLength)Error$/.test(error.name)
}

/** The one next frame; undefined when the peer ended its side. `signal` aborts the stream. */
export async function nextFrame(from: Frames, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const abort = () => from.abort(new Error('gave up waiting for the peer'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    const { value } = await from.incoming.next()
    return value ?? undefined
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

interface Outbox {
  /** Resolves once nothing can be pushed any more and nothing is left to be taken. */
  readonly over: Promise<void>
  readonly source: AsyncIterable<Uint8ArrayList>
  readonly queuedBytes: number
  push(bytes: Uint8ArrayList): Promise<void>
  end(): void
  fail(reason: Error): void
}

/**
 * A queue whose `push` resolves when its reader comes back for the next item, which is when libp2p has put the previous
 * one on the wire or into its window. An explicit iterator and no async generator: `return` must end a waiting `next`,
 * because that is how libp2p ends a sink.
 */
function createOutbox(): Outbox {
  type Item = { bytes: Uint8ArrayList; sent: () => void; failed: (reason: Error) => void }
  const queue: Item[] = []
  let taken: Item | undefined
  let waiting: ((result: IteratorResult<Uint8ArrayList>) => void) | undefined
  let state: 'open' | 'ending' | 'closed' = 'open'
  let queuedBytes = 0
  let reason = new Error('the stream was closed')

  let finished!: () => void
  const over = new Promise<void>(resolve => {
    finished = resolve
  })

  const done = { done: true, value: undefined } as const
  const settleTaken = () => {
    if (taken === undefined) return
    queuedBytes -= taken.bytes.byteLength
    taken.sent()
    taken = undefined
  }
  const take = (item: Item): IteratorResult<Uint8ArrayList> => {
    taken = item
    return { done: false, value: item.bytes }
  }
  const fail = (error: Error) => {
    if (state === 'closed') return
    state = 'closed'
    reason = error
    const lost = [...(taken === undefined ? [] : [taken]), ...queue.splice(0)]
    taken = undefined
    queuedBytes = 0
    for (const item of lost) item.failed(error)
    waiting?.(done)
    waiting = undefined
    finished()
  }
  const iterator: AsyncIterator<Uint8ArrayList> = {
    async next() {
      settleTaken()
      const item = queue.shift()
      if (item !== undefined) return take(item)
      if (state === 'open') {
        return new Promise(resolve => {
          waiting = resolve
        })
      }
      return done
    },
    async return() {
      fail(reason)
      return done
    },
  }

  return {
    over,
    source: { [Symbol.asyncIterator]: () => iterator },
    get queuedBytes() {
      return queuedBytes
    },
    push(bytes) {
      if (state !== 'open') return Promise.reject(reason)
      queuedBytes += bytes.byteLength
      return new Promise((sent, failed) => {
        const item = { bytes, sent, failed }
        if (waiting === undefined) {
          queue.push(item)
          return
        }
        waiting(take(item))
        waiting = undefined
      })
    },
    end() {
      if (state !== 'open') return
      state = 'ending'
      waiting?.(done)
      waiting = undefined
    },
    fail,
  }
}
