import type { Stream } from '@libp2p/interface'
import { FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import { timeLimit } from '../time-limit.ts'
import { type Frames, frames, nextFrame } from './frames.ts'
import type { Channel } from './network.ts'
import type { Session, Sessions } from './sessions.ts'

export const CHANNEL_PROTOCOL = '/fleetd/channel/1'

const LIMITS_PER_PEER = { maxInboundStreams: 64, maxOutboundStreams: 64 }
/** How long an opener may take to name the service. */
const OPEN_TIMEOUT = 10_000
/** How long a closed channel waits for its peer to have read the end of it. */
const LINGER = 5_000

/** Takes the channels that admitted peers open; one for an unknown service is reset. */
export function acceptFrom(
  sessions: Sessions,
  handlers: ReadonlyMap<string, (channel: Channel) => void>,
): Promise<void> {
  return sessions.handle(
    CHANNEL_PROTOCOL,
    (session, stream) => takeChannel(session.peer, frames(stream, LIMITS.channelFrame), handlers),
    LIMITS_PER_PEER,
  )
}

/** Hands a channel that a peer has begun to whoever takes its service. Rejects `not-found` where nobody does. */
export async function takeChannel(
  peer: NodeId,
  over: Frames,
  handlers: ReadonlyMap<string, (channel: Channel) => void>,
): Promise<void> {
  const service = await nextFrame(over, timeLimit(OPEN_TIMEOUT))
  const handler = service === undefined ? undefined : handlers.get(Buffer.from(service).toString())
  if (handler === undefined) throw new FleetError('not-found', 'no such service')
  handler(channelOver(peer, over))
}

/** Opens a channel over an admitted connection. Rejects `unavailable`, or `timeout` when `signal` is aborted first. */
export async function openOver(session: Session, service: string, signal: AbortSignal): Promise<Channel> {
  let stream: Stream | undefined
  try {
    stream = await session.connection.newStream(CHANNEL_PROTOCOL, { signal, runOnLimitedConnection: true })
    return await beginChannel(session.peer, frames(stream, LIMITS.channelFrame), service)
  } catch (cause) {
    stream?.abort(new Error('channel not opened'))
    const code = signal.aborted ? 'timeout' : 'unavailable'
    throw new FleetError(code, `no channel ${service} to ${session.peer}: ${String(cause)}`, { cause })
  }
}

/** The opener's side: names the service. */
export async function beginChannel(peer: NodeId, over: Frames, service: string): Promise<Channel> {
  await over.send(Buffer.from(service))
  return channelOver(peer, over)
}

function channelOver(peer: NodeId, over: Frames): Channel {
  let closed = false
  let byPeer = false
  let wake = () => {}

  /** The peer is done with the channel: nothing more can be sent, and what it sent before can still be read. */
  const finish = () => {
    if (closed) return
    closed = true
    byPeer = true
    over.abort(new Error('the peer closed the channel'))
  }
  const close = () => {
    if (closed) return
    closed = true
    wake()
    // What was sent still leaves. The peer resets the stream when it has read the end; one that does not is helped.
    const help = () => over.abort(new Error('the channel is closed'))
    void over.end().then(() => setTimeout(help, LINGER).unref())
  }

  // One frame is read ahead, so that the peer's end is noticed by somebody who only sends.
  const read = () => {
    const next = over.incoming.next()
    next.then(({ done }) => done === true && finish(), finish)
    return next
  }
  let ahead = read()
  /** The next frame; undefined once there is none, or this end was closed. */
  const nextAhead = () =>
    new Promise<Uint8Array | undefined>(resolve => {
      wake = () => resolve(undefined)
      // A reset and an end are the same to a reader: no more frames come. What it needs to know is in the frames.
      ahead.then(({ value }) => resolve(value ?? undefined), wake)
    })
  async function* incoming(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (!closed || byPeer) {
        const frame = await nextAhead()
        if (frame === undefined) return
        ahead = read()
        yield frame
      }
    } finally {
      close()
    }
  }

  return {
    peer,
    get receivedBytes() {
      return over.receivedBytes
    },
    frames: incoming(),
    async send(frame, headroom) {
      if (closed) throw new FleetError('unavailable', `the channel to ${peer} is closed`)
      if (frame.byteLength > LIMITS.channelFrame)
        throw new FleetError(
          'too-large',
          `a channel frame has at most ${LIMITS.channelFrame} bytes, not ${frame.byteLength}`,
        )
      try {
        await over.send(frame, headroom)
      } catch (cause) {
        throw new FleetError('unavailable', `the channel to ${peer} was closed`, { cause })
      }
    },
    close,
  }
}
