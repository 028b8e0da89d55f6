import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Address, NodeId } from '../../../protocol/index.ts'
import type { Session } from '../sessions.ts'
import type { Circuits } from './circuits.ts'

/** Relays that a node asks to bring it connections: one may fail, and another be cut off, without it being lost to anybody. */
const RELAYS = 3
/** How long a peer that would not is left alone, in milliseconds. */
const LEFT_ALONE = 10 * 60_000

export interface Reservations {
  /** Where this node is found through others; empty while it does not need that. */
  addresses(): readonly Address[]
  /** Whether others are needed to be reached. */
  need(needed: boolean): void
  /** Links came or went: there may be a better or a missing relay. */
  tend(): void
}

export interface ReservationsInit {
  readonly self: NodeId
  readonly circuits: Circuits
  /** Peers that we dialled and hold a link to. */
  readonly candidates: () => readonly Session[]
  readonly changed: () => void
  readonly log: Logger
}

/** Keeps reservations at a few of the peers for as long as they are needed; a reservation ends with the connection that it was made on. */
export function createReservations({ self, circuits, candidates, changed, log }: ReservationsInit): Reservations {
  const held = new Map<Session, readonly Address[]>()
  const refused = new Map<NodeId, number>()
  let needed = false
  let work: Promise<void> = Promise.resolve()

  const reserve = async (session: Session): Promise<void> => {
    try {
      const addresses = await circuits.reserve(session)
      if (session.closed.aborted || !needed || addresses.length === 0) return
      held.set(session, addresses)
      session.closed.addEventListener('abort', () => lost(session), { once: true })
      log.info({ relay: session.peer, addresses }, `this node can be reached through ${session.peer}`)
    } catch (error) {
      refused.set(session.peer, performance.now() + LEFT_ALONE)
      log.debug({ relay: session.peer, reason: String(error) }, 'a peer does not relay for this node')
    }
  }
  const lost = (session: Session): void => {
    if (!held.delete(session)) return
    changed()
    tend()
  }
  const run = async (): Promise<void> => {
    const before = held.size
    for (const session of ranked(self, candidates())) {
      if (!needed || held.size >= RELAYS) break
      const holds = [...held.keys()].some(({ peer }) => peer === session.peer)
      if (!holds && performance.now() >= (refused.get(session.peer) ?? 0)) await reserve(session)
    }
    if (held.size > before) changed()
  }
  const tend = (): void => {
    work = work.then(run)
  }

  return {
    addresses: () => [...held.values()].flat(),
    need(now) {
      needed = now
      if (now) return tend()
      if (held.size === 0) return
      held.clear()
      changed()
    },
    tend,
  }
}

/** Rendezvous hashing: each node prefers others, and keeps its preference as peers come and go. */
function ranked(self: NodeId, sessions: readonly Session[]): readonly Session[] {
  const weight = ({ peer }: Session): string => createHash('sha256').update(`${self} ${peer}`).digest('hex')
  return sessions
    .map(session => [weight(session), session] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, session]) => session)
}
