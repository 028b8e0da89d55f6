import { setMaxListeners } from 'node:events'
import type { Connection, Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import type { Logger } from 'pino'
import { FleetError, LIMITS, type NodeId, parseNodeId } from '../../protocol/index.ts'
import { frames } from './frames.ts'
import {
  ADMISSION_FRAME,
  ADMISSION_PROTOCOL,
  type Introduction,
  introduceAsDialer,
  introduceAsListener,
  type Shown,
} from './handshake.ts'
import { guardOf } from './muxer.ts'
import type { Admission } from './network.ts'

/** An admitted connection: the only thing that the rest of this folder ever speaks over. */
export interface Session extends Shown {
  readonly peer: NodeId
  readonly connection: Connection
  /** Aborted when the connection is gone. */
  readonly closed: AbortSignal
  /** True once this side has chosen to end the connection. */
  readonly endedByUs: boolean
  /** Takes the connection out of use for anything new; it is about to be closed. */
  retire(): void
  /** Ends the connection politely, within half a second. */
  close(): void
  /** Cuts the connection: for a peer that broke the protocol. */
  abort(reason: Error): void
}

/** Takes a stream of an admitted peer; what it throws resets the stream. */
export type SessionHandler = (session: Session, stream: Stream) => void | Promise<void>

export interface Sessions {
  /** Admitted connections to a peer, oldest first. */
  of(peer: NodeId): readonly Session[]
  all(): Iterable<Session>
  /** The session of a connection once its peer is admitted. Rejects `unauthorized` when it is not, within LIMITS.admission. */
  admitted(connection: Connection): Promise<Session>
  /** Registers a protocol for admitted peers alone: a stream of anybody else is aborted before a byte of it is read. */
  handle(protocol: string, handler: SessionHandler, limits: StreamLimits): Promise<void>
  /** Judges everybody again, and introduces us on connections that wait for our credentials. */
  reconsider(): void
}

export interface StreamLimits {
  readonly maxInboundStreams: number
  readonly maxOutboundStreams: number
}

/**
 * Connections from outside that may be waiting for admission at once: more than a fleet's start makes, few enough to be cheap. When there
 * is one more the oldest makes way, so that a stranger who holds them all open keeps nobody out: admission takes two round
 * trips, and nobody makes so many connections in that time (see inboundConnectionThreshold).
 */
const MAX_WAITING = 128

interface Entry {
  readonly connection: Connection
  readonly peer: NodeId | undefined
  readonly settled: Promise<Session>
  readonly ended: AbortController
  session: Session | undefined
  /** An admission exchange has begun on this connection; there is one attempt. */
  begun: boolean
  resolve(session: Session): void
  reject(reason: Error): void
}

interface Options {
  readonly libp2p: Libp2p
  readonly self: NodeId
  readonly boot: string
  readonly admission: Admission
  readonly log: Logger
  readonly heard: (peer: NodeId) => void
}

export async function createSessions({ libp2p, self, boot, admission, log, heard }: Options): Promise<Sessions> {
  const entries = new Map<string, Entry>()
  const byPeer = new Map<NodeId, readonly Session[]>()
  const waiting = new Set<Entry>()

  libp2p.addEventListener('connection:open', ({ detail: connection }) => onOpen(connection))
  libp2p.addEventListener('connection:close', ({ detail: connection }) => onClose(connection))
  // Peers are kept by whoever uses this folder; libp2p's own book would remember every stranger that ever came by.
  libp2p.addEventListener('peer:disconnect', ({ detail: peer }) => void libp2p.peerStore.delete(peer).catch(() => {}))
  await libp2p.handle(ADMISSION_PROTOCOL, ({ connection, stream }) => onAdmissionStream(connection, stream), {
    maxInboundStreams: 1,
    maxOutboundStreams: 1,
    runOnLimitedConnection: true,
  })

  function onOpen(connection: Connection): void {
    const entry = newEntry(connection)
    entries.set(connection.id, entry)
    const timer = setTimeout(() => refuse(entry, new Error('showed no certificate in time')), LIMITS.admission)
    entry.settled
      .catch(() => {})
      .finally(() => {
        waiting.delete(entry)
        clearTimeout(timer)
      })
    if (entry.peer === undefined) {
      refuse(entry, new Error('its key is not Ed25519'))
      return
    }
    if (connection.direction === 'outbound') {
      void introduce(entry)
      return
    }
    waiting.add(entry)
    if (waiting.size > MAX_WAITING) refuse(waiting.values().next().value!, new Error('too many wait for admission'))
  }

  function onClose(connection: Connection): void {
    const entry = entries.get(connection.id)
    if (entry === undefined) return
    entries.delete(connection.id)
    entry.reject(new FleetError('unauthorized', 'the connection closed before admission'))
    if (entry.session !== undefined) forget(entry.session)
    entry.ended.abort()
  }

  function forget(session: Session): void {
    const rest = (byPeer.get(session.peer) ?? []).filter(other => other !== session)
    if (rest.length > 0) byPeer.set(session.peer, rest)
    else byPeer.delete(session.peer)
  }

  function introduction(): Introduction | undefined {
    const credentials = admission.credentials()
    return credentials && { self, boot, ...credentials }
  }

  /** The dialer's side. Without credentials it waits for `reconsider`, and the admission timer. */
  async function introduce(entry: Entry): Promise<void> {
    const us = introduction()
    if (us === undefined || entry.begun) return
    entry.begun = true
    try {
      const signal = entry.ended.signal
      await settle(
        entry,
        await entry.connection.newStream(ADMISSION_PROTOCOL, { signal, runOnLimitedConnection: true }),
        us,
        introduceAsDialer,
      )
    } catch (error) {
      refuse(entry, error)
    }
  }

  async function onAdmissionStream(connection: Connection, stream: Stream): Promise<void> {
    const entry = entries.get(connection.id)
    const us = introduction()
    if (entry === undefined || us === undefined || entry.begun) {
      stream.abort(new Error('not now'))
      return
    }
    entry.begun = true
    try {
      await settle(entry, stream, us, introduceAsListener)
    } catch (error) {
      refuse(entry, error)
    }
  }

  async function settle(
    entry: Entry,
    stream: Stream,
    us: Introduction,
    exchange: typeof introduceAsDialer,
  ): Promise<void> {
    const peer = entry.peer!
    const over = frames(stream, ADMISSION_FRAME)
    const shown = await exchange(over, us, peer, certificate => assertAdmitted(peer, certificate), entry.ended.signal)
    if (entry.ended.signal.aborted) return
    void over.end()
    void over.incoming.next().catch(() => {}) // reads the end of the peer's side, which frees the stream
    // Judged again: the fleet's mind may have changed while the last frames travelled.
    assertAdmitted(peer, shown.certificate)
    guardOf(stream)?.admit(() => heard(peer))
    admit(entry, peer, shown)
  }

  function admit(entry: Entry, peer: NodeId, shown: Shown): void {
    const { connection } = entry
    let endedByUs = false
    const session: Session = {
      ...shown,
      peer,
      connection,
      closed: entry.ended.signal,
      get endedByUs() {
        return endedByUs
      },
      retire() {
        endedByUs = true
        forget(session)
      },
      close() {
        session.retire()
        void connection.close().catch(error => connection.abort(error))
      },
      abort(reason) {
        session.retire()
        connection.abort(reason)
      },
    }
    entry.session = session
    byPeer.set(peer, [...(byPeer.get(peer) ?? []), session])
    log.debug({ peer, direction: connection.direction }, 'peer admitted')
    entry.resolve(session)
  }

  function assertAdmitted(peer: NodeId, certificate: Uint8Array): void {
    const verdict = admission.judge(peer, certificate)
    if (!verdict.admitted) throw new FleetError('unauthorized', verdict.reason)
  }

  function refuse(entry: Entry, cause: unknown): void {
    if (entry.session !== undefined) return
    waiting.delete(entry)
    const reason = cause instanceof Error ? cause.message : String(cause)
    log.debug({ peer: entry.peer, reason, address: entry.connection.remoteAddr.toString() }, 'stranger refused')
    entry.reject(new FleetError('unauthorized', `not admitted: ${reason}`, { cause }))
    entry.connection.abort(new Error('not admitted'))
  }

  return {
    of: peer => byPeer.get(peer) ?? [],
    *all() {
      for (const sessions of byPeer.values()) yield* sessions
    },
    async admitted(connection) {
      const entry = entries.get(connection.id)
      if (entry === undefined) throw new FleetError('unauthorized', 'the connection closed before admission')
      return entry.settled
    },
    handle: (protocol, handler, limits) =>
      libp2p.handle(
        protocol,
        async ({ connection, stream }) => {
          try {
            const entry = entries.get(connection.id)
            if (entry === undefined) throw new Error('the connection is closed')
            // The peer may know that it is admitted one message before we do; the muxer's guard bounds who waits here.
            await handler(entry.session ?? (await entry.settled), stream)
          } catch (error) {
            stream.abort(error instanceof Error ? error : new Error(String(error)))
          }
        },
        // libp2p calls a connection limited that came through a relay. It is one like any other here.
        { ...limits, runOnLimitedConnection: true },
      ),
    reconsider() {
      for (const entry of [...entries.values()]) {
        if (entry.session === undefined) {
          if (entry.connection.direction === 'outbound') void introduce(entry)
          continue
        }
        const verdict = introduction() && admission.judge(entry.session.peer, entry.session.certificate)
        if (verdict?.admitted === true) continue
        log.info(
          { peer: entry.session.peer, reason: verdict?.reason ?? 'we left the fleet' },
          'peer no longer admitted',
        )
        entry.session.abort(new Error('no longer admitted'))
      }
    },
  }
}

function newEntry(connection: Connection): Entry {
  let resolve!: (session: Session) => void
  let reject!: (reason: Error) => void
  const settled = new Promise<Session>((...settle) => {
    ;[resolve, reject] = settle
  })
  settled.catch(() => {}) // most of the time nobody waits for a stranger
  const ended = new AbortController()
  setMaxListeners(0, ended.signal) // every request and channel over the connection listens
  return {
    connection,
    peer: nodeOf(connection),
    settled,
    ended,
    session: undefined,
    begun: false,
    resolve,
    reject,
  }
}

function nodeOf(connection: Connection): NodeId | undefined {
  try {
    return parseNodeId(connection.remotePeer.toString())
  } catch {
    return undefined
  }
}
