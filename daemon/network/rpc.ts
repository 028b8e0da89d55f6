import type { Stream } from '@libp2p/interface'
import { FleetError, LIMITS, type NodeId, toFleetError } from '../../protocol/index.ts'
import { timeLimit } from '../time-limit.ts'
import { type Frames, frames, nextFrame } from './frames.ts'
import type { RequestHandler } from './network.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeFailure,
  encodeRequest,
  encodeResponse,
  RPC_FRAME,
} from './rpc-messages.ts'
import type { Session, Sessions } from './sessions.ts'

export const RPC_PROTOCOL = '/fleetd/rpc/1'

/** Requests that one peer may have running here at once; we hold ourselves to half, because a closing stream still counts. */
const MAX_INBOUND = 128
const MAX_OUTBOUND = 64
/** How long a peer may take to say what it wants. */
const REQUEST_TIMEOUT = 10_000
/** How long a peer may take to read what it asked for; a response that nobody reads is a mebibyte that is kept. */
const RESPONSE_TIMEOUT = 30_000

/** Serves the requests of admitted peers. */
export function serveRequests(
  sessions: Pick<Sessions, 'handle'>,
  handlers: ReadonlyMap<string, RequestHandler>,
  responseTimeout = RESPONSE_TIMEOUT,
): Promise<void> {
  return sessions.handle(
    RPC_PROTOCOL,
    async (session, stream) => {
      const over = frames(stream, RPC_FRAME)
      const response = await answer(session, over, handlers)
      const timer = setTimeout(() => over.abort(new Error('the response was not read in time')), responseTimeout)
      try {
        await over.send(response)
        await over.end()
      } finally {
        clearTimeout(timer)
      }
    },
    { maxInboundStreams: MAX_INBOUND, maxOutboundStreams: MAX_INBOUND },
  )
}

async function answer(
  session: Session,
  over: Frames,
  handlers: ReadonlyMap<string, RequestHandler>,
): Promise<Uint8Array> {
  const request = await nextFrame(over, timeLimit(REQUEST_TIMEOUT))
  if (request === undefined) throw new FleetError('corrupt', 'a request stream ended without a request')
  const { service, body } = decodeRequest(request)
  const gone = new AbortController()
  // Our side is still to be written: when it is over by now, nobody waits for the answer any more.
  void over.over.then(() => gone.abort())
  over.incoming.next().catch(() => {}) // reads the end of the asker's side, which frees the stream
  try {
    const handler = handlers.get(service)
    if (handler === undefined) throw new FleetError('not-found', `this daemon has no service ${service.slice(0, 64)}`)
    const response = await handler(session.peer, body, gone.signal)
    if (response.byteLength > LIMITS.rpcMessage)
      throw new FleetError('too-large', `the response of ${service} has ${response.byteLength} bytes`)
    return encodeResponse(response)
  } catch (error) {
    return encodeFailure(toFleetError(error))
  }
}

/** One request over an admitted connection. Rejects with the error that the other side's handler threw, `timeout` or `unavailable`. */
export async function ask(
  session: Session,
  service: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (body.byteLength > LIMITS.rpcMessage)
    throw new FleetError('too-large', `a request has at most ${LIMITS.rpcMessage} bytes, not ${body.byteLength}`)
  const release = await acquire(session, signal)
  let stream: Stream | undefined
  try {
    stream = await session.connection.newStream(RPC_PROTOCOL, { signal, runOnLimitedConnection: true })
    const over = frames(stream, RPC_FRAME)
    over.send(encodeRequest({ service, body })).catch(() => {}) // a failure shows as a missing response
    void over.end()
    const frame = await nextFrame(over, signal)
    if (frame === undefined)
      throw new FleetError('unavailable', `${session.peer} closed the connection before it answered`)
    const response = decodeResponse(frame)
    void over.incoming.next().catch(() => {}) // reads the end, which frees the stream
    return response
  } catch (error) {
    stream?.abort(new Error('request failed'))
    throw unanswered(session.peer, service, signal, error)
  } finally {
    release()
  }
}

function unanswered(peer: NodeId, service: string, signal: AbortSignal, error: unknown): FleetError {
  if (signal.aborted)
    return new FleetError('timeout', `${peer} did not answer the request ${service} in time`, { cause: error })
  if (error instanceof FleetError) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new FleetError('unavailable', `the request ${service} to ${peer} failed: ${reason}`, { cause: error })
}

interface Turns {
  running: number
  readonly waiting: (() => void)[]
}

const turns = new WeakMap<Session, Turns>()

/** Waits for one of the MAX_OUTBOUND turns of a session; resolves with what gives it back. Rejects `timeout` on abort. */
async function acquire(session: Session, signal: AbortSignal): Promise<() => void> {
  const state = turns.get(session) ?? { running: 0, waiting: [] }
  turns.set(session, state)
  if (signal.aborted) throw new FleetError('timeout', 'the request was cancelled')
  if (state.running >= MAX_OUTBOUND) {
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        state.waiting.splice(state.waiting.indexOf(go), 1)
        reject(new FleetError('timeout', `too many requests to ${session.peer} are running`))
      }
      state.waiting.push(go)
      signal.addEventListener('abort', abort, { once: true })
    })
  } else state.running++
  return () => {
    const next = state.waiting.shift()
    if (next === undefined) state.running--
    else next()
  }
}
