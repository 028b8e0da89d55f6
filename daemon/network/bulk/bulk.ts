import { randomBytes } from 'node:crypto'
import { addAbortListener } from 'node:events'
import type { Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import { type Address, FleetError, LIMITS, type NodeId } from '../../../protocol/index.ts'
import { timeLimit } from '../../time-limit.ts'
import { addressOf, type Endpoint, isLocalHost } from '../address.ts'
import { beginChannel, takeChannel } from '../channels.ts'
import { usableEndpoints } from '../dial.ts'
import type { Channel, RequestHandler } from '../network.ts'
import { isRelayed } from '../relay/index.ts'
import type { Session } from '../sessions.ts'
import { BULK_SERVICE, decodeOffer, encodeOffer, OFFER_LIFETIME, type Offer, SIZES } from './offer.ts'
import { bulkConnect, bulkServer, type End, socketFrames } from './tls.ts'

/** Offers that one peer may hold open, which is also how many of its connections may be on their way. */
const MAX_OFFERS = 32
/** Bulk connections that one peer may have open here. */
const MAX_OPEN = 64
/** How long all addresses together may take, in milliseconds; the channel is opened over libp2p then. */
const CONNECT_TIMEOUT = 2_000
/** Addresses that are tried. */
const MAX_TRIED = 3
/** How long a peer that could not be reached in this way is not tried again, in milliseconds. */
const UNREACHED = 60_000

/**
 * Channels over TLS connections of their own, for bytes in bulk: Node.js encrypts them outside of JavaScript, at some twenty times the
 * speed of libp2p's noise and yamux (docs/decisions/0029). Two nodes agree on each over an admitted connection, and it ends with that.
 */
export interface Bulk {
  /** A connection that a TLS handshake has come in on. */
  take(socket: Socket): void
  /** Undefined where the peer cannot be reached in this way; the channel goes over libp2p then. Never rejects. */
  open(session: Session, service: string, signal: AbortSignal): Promise<Channel | undefined>
  /** Whether a session has bulk connections, and must not be closed as idle. */
  uses(session: Session): boolean
  stop(): void
}

export interface BulkInit {
  readonly lanOnly: boolean
  readonly addresses: () => readonly Address[]
  readonly ask: (session: Session, service: string, signal: AbortSignal) => Promise<Uint8Array>
  readonly serve: (service: string, handler: RequestHandler) => void
  /** The admitted connection to a peer that is to carry what is agreed on. */
  readonly sessionOf: (peer: NodeId) => Session | undefined
  readonly handlers: ReadonlyMap<string, (channel: Channel) => void>
  readonly heard: (peer: NodeId) => void
  readonly log: Logger
}

interface Given {
  readonly session: Session
  readonly secret: Uint8Array
  readonly timer: NodeJS.Timeout
}

export function createBulk(init: BulkInit): Bulk {
  const { lanOnly, handlers, heard, log } = init
  const given = new Map<string, Given>()
  const open = new Map<Session, Set<TLSSocket>>()
  const unreached = new Map<NodeId, number>()
  /** The offer that a connection has taken. */
  const taken = new WeakMap<TLSSocket, Given>()
  let server: Server | undefined

  const forget = (name: string): void => {
    clearTimeout(given.get(name)?.timer)
    given.delete(name)
  }
  const offersOf = (session: Session): number => [...given.values()].filter(each => each.session === session).length

  init.serve(BULK_SERVICE, peer => {
    const session = init.sessionOf(peer)
    if (session === undefined || offersOf(session) >= MAX_OFFERS || (open.get(session)?.size ?? 0) >= MAX_OPEN)
      throw new FleetError('unavailable', 'too many bulk connections')
    const name = randomBytes(SIZES.name).toString('hex')
    const secret = randomBytes(SIZES.secret)
    const timer = setTimeout(() => given.delete(name), OFFER_LIFETIME).unref()
    given.set(name, { session, secret, timer })
    return encodeOffer({ name, secret, addresses: init.addresses() })
  })

  /** The connection lives as long as the session that it was agreed on over. */
  const keep = (session: Session, socket: TLSSocket): void => {
    const sockets = open.get(session) ?? new Set()
    open.set(session, sockets.add(socket))
    const listening = addAbortListener(session.closed, () => socket.destroy())
    socket.once('close', () => {
      listening[Symbol.dispose]()
      sockets.delete(socket)
      if (sockets.size === 0) open.delete(session)
    })
  }
  const framesOf = (session: Session, end: End) => socketFrames(end, LIMITS.channelFrame, () => heard(session.peer))

  const accept = (end: End): void => {
    const { socket } = end
    const session = taken.get(socket)?.session
    if (session === undefined || session.closed.aborted) return void socket.destroy()
    keep(session, socket)
    takeChannel(session.peer, framesOf(session, end), handlers).catch(error => {
      log.debug({ peer: session.peer, reason: String(error) }, 'a bulk connection was not taken')
      socket.destroy()
    })
  }
  const secretOf = (socket: TLSSocket, name: string): Uint8Array | undefined => {
    // Asked again by the same connection where the two had to agree on a group first (RFC 8446, section 4.1.4).
    const offer = taken.get(socket) ?? given.get(name)
    if (offer === undefined) return undefined
    forget(name) // for any other it counts no more
    taken.set(socket, offer)
    return offer.secret
  }

  /** The same host that the session leads to first. */
  const candidates = async (session: Session, offer: Offer): Promise<readonly Endpoint[]> => {
    const { host, port } = endpointFrom(session)
    const dialled = session.connection.direction === 'outbound' ? [addressOf({ host, port })] : []
    const all = await usableEndpoints([...dialled, ...offer.addresses], lanOnly)
    return [...all.filter(each => each.host === host), ...all.filter(each => each.host !== host)].slice(0, MAX_TRIED)
  }

  const connectTo = async (session: Session, signal: AbortSignal): Promise<End> => {
    const offer = decodeOffer(await init.ask(session, BULK_SERVICE, signal))
    const failures: unknown[] = []
    const endpoints = await candidates(session, offer)
    for (const endpoint of endpoints) {
      const turn = timeLimit(CONNECT_TIMEOUT / endpoints.length, signal)
      try {
        return await bulkConnect(endpoint, offer, turn)
      } catch (error) {
        failures.push(error)
      }
    }
    throw new AggregateError(failures, failures.map(String).join('; '))
  }

  return {
    take(socket) {
      // Nobody is expected: a stranger's handshake is not even begun.
      if (given.size === 0 || (lanOnly && !isLocalHost(socket.remoteAddress ?? ''))) return void socket.destroy()
      server ??= bulkServer(secretOf, accept)
      server.emit('connection', socket)
    },
    async open(session, service, signal) {
      if (isRelayed(session.connection) || (unreached.get(session.peer) ?? 0) > performance.now()) return undefined
      let socket: TLSSocket | undefined
      try {
        const end = await connectTo(session, timeLimit(2 * CONNECT_TIMEOUT, signal))
        socket = end.socket
        if (session.closed.aborted) throw new Error('the connection that it was agreed on over is gone')
        keep(session, socket)
        return await beginChannel(session.peer, framesOf(session, end), service)
      } catch (error) {
        socket?.destroy()
        if (!signal.aborted && !session.closed.aborted) {
          if (unreached.size > 1_000) unreached.clear()
          unreached.set(session.peer, performance.now() + UNREACHED)
          log.debug({ peer: session.peer, reason: String(error) }, 'no bulk connection; it goes over libp2p')
        }
        return undefined
      }
    },
    uses: session => open.has(session),
    stop() {
      for (const name of [...given.keys()]) forget(name)
      for (const sockets of open.values()) for (const socket of sockets) socket.destroy()
      server?.close()
    },
  }
}

/** Where the other end of a session's connection is. */
function endpointFrom({ connection }: Session): Endpoint {
  const { address, port } = connection.remoteAddr.nodeAddress()
  return { host: address, port: Number(port) }
}
