import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import type { Logger } from 'pino'
import { decode, encode, FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import { timeLimit } from '../time-limit.ts'
import { type Frames, frames, nextFrame } from './frames.ts'
import type { Session, Sessions } from './sessions.ts'
import { answerOpen } from './tie.ts'

export const LINK_PROTOCOL = '/fleetd/link/1'

/** Bytes that may wait on a link before frames are dropped: a few of the largest, so that a slow peer costs little. */
const MAX_QUEUED = 4 * LIMITS.linkFrame
/** How long opening a link over an admitted connection may take: one round trip, and a connection that is quietly dead. */
const OPEN_TIMEOUT = 3_000
/** Links that an opening names as known to be dead: more than fail in a row before TCP itself gives a dead connection up. */
const MAX_KNOWN = 64
/**
 * How long a goodbye may take to be answered before the connection is closed under it. Closing at once would lose it:
 * libp2p destroys the socket with what noise has still to encrypt.
 */
const GOODBYE_TIMEOUT = 500
/** The frame that says goodbye. A link that ends without one was cut: its peer's process died, or the way to it. */
const GOODBYE = new Uint8Array()

export interface LinkEvents {
  up(session: Session): void
  down(session: Session, cause: 'closed' | 'reset'): void
  frame(peer: NodeId, frame: Uint8Array): void
}

export interface Links {
  has(peer: NodeId): boolean
  peers(): readonly NodeId[]
  /** Makes sure of a link to the session's peer, over this session or one that the peer opens meanwhile. Rejects `unavailable`. */
  open(session: Session): Promise<void>
  send(peer: NodeId, frame: Uint8Array): boolean
  /** Says goodbye and closes the connection. `down` is called before this returns; resolves when the peer is gone. */
  close(peer: NodeId): Promise<void>
}

interface Link {
  readonly id: string
  readonly session: Session
  readonly over: Frames
}

interface Opening {
  readonly id: string
  readonly session: Session
  /** The peer has told us that it knows of this opening and that nothing came of it. */
  cancelled: boolean
}

export async function createLinks(sessions: Sessions, self: NodeId, events: LinkEvents, log: Logger): Promise<Links> {
  const up = new Map<NodeId, Link>()
  const openings = new Map<NodeId, Opening & { readonly outcome: Promise<void> }>()
  /** The latest links with a peer and openings of ours, newest last, any of which it may believe to be up. */
  const known = new Map<NodeId, readonly string[]>()
  const waiters = new Map<NodeId, Set<() => void>>()

  await sessions.handle(LINK_PROTOCOL, onOpen, { maxInboundStreams: 4, maxOutboundStreams: 4 })

  async function onOpen(session: Session, stream: Stream): Promise<void> {
    const { peer } = session
    const over = frames(stream, LIMITS.linkFrame)
    const request = parseOpen(await nextFrame(over, timeLimit(OPEN_TIMEOUT)))
    const current = up.get(peer)
    const opening = openings.get(peer)
    const answer = answerOpen(
      { self, peer, boot: session.boot, after: request.after },
      current && { id: current.id, boot: current.session.boot },
      opening && { boot: opening.session.boot },
    )
    log.trace({ peer, answer, direction: session.connection.direction }, 'peer opens a link')
    if (answer === 'refuse') {
      await over.send(encode([false]))
      await over.end()
      return
    }
    if (opening !== undefined && request.after.includes(opening.id)) opening.cancelled = true
    establish({ id: request.id, session, over }, encode([true]))
  }

  async function open(session: Session): Promise<void> {
    const { peer } = session
    if (up.has(peer)) return
    const running = openings.get(peer)
    if (running !== undefined) {
      if (running.session === session) return running.outcome
      // It may be waiting on a connection that has died.
      await running.outcome.catch(() => {})
      return open(session)
    }
    const opening: Opening = { id: randomBytes(8).toString('hex'), session, cancelled: false }
    const outcome = openOver(opening)
      .catch(error => {
        if (up.has(peer)) return
        throw error instanceof FleetError
          ? error
          : new FleetError('unavailable', `no link to ${peer}: ${String(error)}`, { cause: error })
      })
      .finally(() => openings.delete(peer))
    openings.set(peer, Object.assign(opening, { outcome }))
    return outcome
  }

  async function openOver(opening: Opening): Promise<void> {
    const { id, session } = opening
    const { peer } = session
    const stream = await session.connection.newStream(LINK_PROTOCOL, {
      signal: timeLimit(OPEN_TIMEOUT),
      runOnLimitedConnection: true,
    })
    const over = frames(stream, LIMITS.linkFrame)
    // We have no link now, so every one that we ever knew of is dead.
    await over.send(encode([id, know(peer, id)]))
    const accepted = parseAnswer(await nextFrame(over, timeLimit(OPEN_TIMEOUT)))
    const current = up.get(peer)
    // A peer that takes our opening after we took one of its own has given that one up, unless it is a new process.
    if (accepted && !opening.cancelled && (current === undefined || current.session.boot === session.boot)) {
      establish({ id, session, over })
      return
    }
    over.abort(new Error('another link to this peer is open'))
    if (!up.has(peer)) await untilUp(peer)
  }

  /** Notes a link's id; gives those before it. */
  function know(peer: NodeId, id: string): readonly string[] {
    const before = known.get(peer) ?? []
    known.set(peer, [...before, id].slice(-MAX_KNOWN))
    return before
  }

  /** The peer is opening a link of its own, which goes before ours. */
  function untilUp(peer: NodeId): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = waiters.get(peer) ?? new Set()
      waiters.set(peer, waiting)
      const settle = (outcome: () => void) => () => {
        clearTimeout(timer)
        waiting.delete(done)
        if (waiting.size === 0) waiters.delete(peer)
        outcome()
      }
      const done = settle(resolve)
      const fail = settle(() => reject(new FleetError('unavailable', `peer ${peer} refused the link and opened none`)))
      const timer = setTimeout(fail, OPEN_TIMEOUT)
      waiting.add(done)
    })
  }

  function establish(link: Link, greeting?: Uint8Array): void {
    const { peer } = link.session
    const replaced = up.get(peer)
    if (replaced !== undefined) supersede(replaced, link.session)
    if (known.get(peer)?.includes(link.id) !== true) know(peer, link.id)
    up.set(peer, link)
    if (greeting !== undefined) link.over.send(greeting).catch(() => {})
    events.up(link.session)
    for (const wake of [...(waiters.get(peer) ?? [])]) wake()
    void receive(link)
  }

  async function receive(link: Link): Promise<void> {
    const { session, over } = link
    let goodbye = false
    let broken: unknown
    try {
      for await (const frame of over.incoming) {
        goodbye = frame.byteLength === 0
        if (goodbye) break
        if (up.get(session.peer) === link) events.frame(session.peer, frame)
      }
    } catch (error) {
      broken = error
    }
    if (up.get(session.peer) !== link) {
      if (session.endedByUs) session.close() // the answer to our goodbye, or the same thought
      return
    }
    const ours = session.endedByUs || broken instanceof FleetError // garbage: it is we who end it
    drop(link, goodbye || ours ? 'closed' : 'reset', broken)
  }

  /** Takes the link out of use, and its connection with it. */
  function drop(link: Link, cause: 'closed' | 'reset', broken?: unknown): void {
    const { session, over } = link
    up.delete(session.peer)
    log.debug({ peer: session.peer, cause, ...(broken === undefined ? {} : { reason: String(broken) }) }, 'link down')
    events.down(session, cause)
    if (cause === 'closed' && broken === undefined) {
      session.close()
      return
    }
    const reason = broken instanceof Error ? broken : new Error('the link was cut')
    over.abort(reason)
    session.abort(reason)
  }

  /** A link that is dead at the other end makes way for its successor, which may run over the same connection. */
  function supersede({ session, over }: Link, successor: Session): void {
    up.delete(session.peer)
    events.down(session, 'reset')
    const reason = new Error('the peer opened a new link')
    over.abort(reason)
    if (session !== successor) session.abort(reason)
  }

  return {
    has: peer => up.has(peer),
    peers: () => [...up.keys()],
    open,
    send(peer, frame) {
      const link = up.get(peer)
      if (link === undefined) return false
      if (frame.byteLength === 0 || frame.byteLength > LIMITS.linkFrame) {
        log.warn({ peer, bytes: frame.byteLength, limit: LIMITS.linkFrame }, 'link frame of impossible size dropped')
        return false
      }
      if (link.over.queuedBytes + frame.byteLength > MAX_QUEUED) return false
      link.over.send(frame).catch(() => {}) // a frame lost with its link is told by `down`
      return true
    },
    async close(peer) {
      const link = up.get(peer)
      if (link === undefined) return
      const { session, over } = link
      up.delete(peer)
      session.retire()
      events.down(session, 'closed')
      over.send(GOODBYE).catch(() => {})
      void over.end()
      await closedWithin(GOODBYE_TIMEOUT, session)
      session.close()
    },
  }
}

/** Throws `corrupt` or `too-large` on what is no opening. */
export function parseOpen(frame: Uint8Array | undefined): { id: string; after: readonly string[] } {
  const value = frame === undefined ? undefined : decode(frame, 4096)
  const [id, after] = Array.isArray(value) ? (value as unknown[]) : []
  const isId = (value: unknown): value is string => typeof value === 'string' && value.length === 16
  if (!isId(id) || !Array.isArray(after) || after.length > MAX_KNOWN || !after.every(isId))
    throw new FleetError('corrupt', 'malformed opening of a link')
  return { id, after }
}

/** Throws `corrupt` or `too-large` on what is no answer to an opening. */
export function parseAnswer(frame: Uint8Array | undefined): boolean {
  const value = frame === undefined ? undefined : decode(frame, 256)
  const [accepted] = Array.isArray(value) ? (value as unknown[]) : []
  if (typeof accepted !== 'boolean') throw new FleetError('corrupt', 'malformed answer to the opening of a link')
  return accepted
}

function closedWithin(ms: number, { closed }: Session): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      closed.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    closed.addEventListener('abort', done)
    if (closed.aborted) done()
  })
}
