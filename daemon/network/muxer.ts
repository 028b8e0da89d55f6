import { yamux } from '@chainsafe/libp2p-yamux'
import type { ComponentLogger, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'

/** What one connection's muxer may do, and who is told of its bytes. */
export interface Guard {
  /** Lifts the limit on streams and calls `onBytes` for every piece that arrives from here on. */
  admit(onBytes: () => void): void
}

/**
 * Streams that a peer may open before it is admitted: one for admission, and a few that it opens the moment it believes
 * to be admitted. Each can make us hold one window of bytes, which bounds what a stranger costs.
 */
const STRANGER_STREAMS = 6

/** Streams of an admitted peer: link, gossip, and the most of requests and channels that are allowed at once. */
const MEMBER_STREAMS = 512

const guards = new WeakMap<Stream, Guard>()
const endings = new WeakMap<Stream, () => void>()

/** The guard of the connection that this stream, on which nothing has been refused, runs over. */
export function guardOf(stream: Stream): Guard | undefined {
  return guards.get(stream)
}

/**
 * Calls `listener` when the stream is over on both sides: ended, reset, or gone with its connection. Needed because
 * multistream-select puts a queue between a writer and its stream, and that queue never tells the writer of a reset. One
 * listener a stream.
 */
export function onStreamEnd(stream: Stream, listener: () => void): void {
  if (stream.timeline.close !== undefined) listener()
  else endings.set(stream, listener)
}

/** yamux, with a stranger held to a handful of streams and a tap on arriving bytes. */
export function guardedYamux(): (components: { logger: ComponentLogger }) => StreamMuxerFactory {
  const create = yamux({
    enableKeepAlive: false, // the link's probes are the sign of life
    maxInboundStreams: MEMBER_STREAMS,
    maxOutboundStreams: MEMBER_STREAMS,
    // A stream's window is also what it can put in the way of a probe on the same connection.
    maxStreamWindowSize: 1024 * 1024,
  })
  return components => {
    const factory = create(components)
    return {
      protocol: factory.protocol,
      createStreamMuxer: (init = {}) => {
        let admitted = false
        let onBytes = () => {}
        let opened = 0
        const guard: Guard = {
          admit(listener) {
            admitted = true
            onBytes = listener
          },
        }
        const muxer = factory.createStreamMuxer({
          ...init,
          onStreamEnd(stream) {
            endings.get(stream)?.()
            init.onStreamEnd?.(stream)
          },
          onIncomingStream(stream) {
            opened++
            if (!admitted && opened > STRANGER_STREAMS) {
              stream.abort(new Error('too many streams before admission'))
              return
            }
            guards.set(stream, guard)
            init.onIncomingStream?.(stream)
          },
        })
        return guarded(muxer, guard, () => onBytes())
      },
    }
  }
}

function guarded(muxer: StreamMuxer, guard: Guard, onBytes: () => void): StreamMuxer {
  return {
    protocol: muxer.protocol,
    source: muxer.source,
    get streams() {
      return muxer.streams
    },
    sink: source =>
      muxer.sink(
        (async function* () {
          for await (const piece of source) {
            onBytes()
            yield piece
          }
        })(),
      ),
    async newStream(name) {
      const stream = await muxer.newStream(name)
      guards.set(stream, guard)
      return stream
    },
    close: options => muxer.close(options),
    abort: error => muxer.abort(error),
  }
}
