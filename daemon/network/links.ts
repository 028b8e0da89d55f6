import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import type { Logger } from 'pino'
import { decode, encode, FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import { type Frames, frames, nextFrame } from './frames.ts'
import type { Session, Sessions } from './sessions.ts'
import { answerOpen } from './tie.ts'

export const LINK_PROTOCOL = '/fleetd/link/1'

/** Bytes that may wait on a link before frames are dropped: a few of the largest, so that a slow peer costs little. */
const MAX_QUEUED = 4 * LIMITS.linkFrame
/** How long opening a link over an admitted connection may take: one round trip, and a connection that is quietly dead. */
const OPEN_TIMEOUT = 3_000
/** Links that an opening names as known to be dead. */
const MAX_KNOWN = 16
/** How long a goodbye may take to leave before the connection is closed under it. */
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
  /** Says goodbye. `down` is called before this returns; resolves when the goodbye has left, or will not. */
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
  readonly outcome: Promise<void>
}

export async function createLinks(sessions: Sessions, self: NodeId, events: LinkEvents, log: Logger): Promise<Links> {
  const up = new Map<NodeId, Link>()
  const openings = new Map<NodeId, Opening>()
  /** The last link that was up with a peer and our openings since, any of which it may believe to be up. */
  const known = new Map<NodeId, readonly string[]>()
  const waiters = new Map<NodeId, Set<() => void>>()

  await sessions.handle(LINK_PROTOCOL, onOpen, { maxInboundStreams: 4, maxOutboundStreams: 4 })

  async function onOpen(session: Session, stream: Stream): Promise<void> {
    const { peer } = session
    const over = frames(stream, LIMITS.linkFrame)
    const request = parseOpen(await nextFrame(over, AbortSignal.timeout(OPEN_TIMEOUT)))
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
    if (current !== undefined) drop(current, 'reset')
    establish({ id: request.id, session, over }, encode([true]))
  }

  async function openOver(session: Session, id: string): Promise<void> {
    const { peer } = session
    const stream = await session.connection.newStream(LINK_PROTOCOL, { signal: AbortSignal.timeout(OPEN_TIMEOUT) })
    const over = frames(stream, LIMITS.linkFrame)
    const [lastUp, ...attempts] = known.get(peer) ?? []
    const after = lastUp === undefined ? [] : [lastUp, ...attempts.slice(1 - MAX_KNOWN)]
    known.set(peer, [...after, id])
    await over.send(encode([id, after]))
    const accepted = parseAnswer(await nextFrame(over, AbortSignal.timeout(OPEN_TIMEOUT)))
    if (accepted && !up.has(peer)) {
      establish({ id, session, over })
      return
    }
    over.abort(new Error('another link to this peer is open'))
    if (!up.has(peer)) await untilUp(peer)
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
    up.set(peer, link)
    known.set(peer, [link.id])
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
        if (up.get(session.peer) !== link) break
        goodbye = frame.byteLength === 0
        if (goodbye) break
        events.frame(session.peer, frame)
      }
    } catch (error) {
      broken = error
    }
    if (up.get(session.peer) !== link) return
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

  return {
    has: peer => up.has(peer),
    peers: () => [...up.keys()],
    async open(session) {
      const { peer } = session
      if (up.has(peer)) return
      const running = openings.get(peer)
      if (running !== undefined) return running.outcome
      const id = randomBytes(8).toString('hex')
      const outcome = openOver(session, id)
        .catch(error => {
          if (up.has(peer)) return
          throw error instanceof FleetError
            ? error
            : new FleetError('unavailable', `no link to ${peer}: ${String(error)}`, { cause: error })
        })
        .finally(() => openings.delete(peer))
      openings.set(peer, { id, session, outcome })
      return outcome
    },
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
      up.delete(peer)
      events.down(link.session, 'closed')
      link.over.send(GOODBYE).catch(() => {})
      await settledWithin(GOODBYE_TIMEOUT, link.over.end())
    },
  }
}

function parseOpen(frame: Uint8Array | undefined): { id: string; after: readonly string[] } {
  const value = frame === undefined ? undefined : decode(frame, 1024)
  const [id, after] = Array.isArray(value) ? (value as unknown[]) : []
  const isId = (value: unknown): value is string => typeof value === 'string' && value.length === 16
  if (!isId(id) || !Array.isArray(after) || !after.every(isId))
    throw new FleetError('corrupt', 'malformed opening of a link')
  return { id, after }
}

function parseAnswer(frame: Uint8Array | undefined): boolean {
  const value = frame === undefined ? undefined : decode(frame, 256)
  const [accepted] = Array.isArray(value) ? (value as unknown[]) : []
  if (typeof accepted !== 'boolean') throw new FleetError('corrupt', 'malformed answer to the opening of a link')
  return accepted
}

async function settledWithin(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const bound = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([promise, bound])
  clearTimeout(timer)
}
