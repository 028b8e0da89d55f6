import type { Connection } from '@libp2p/interface'
import type { Logger } from 'pino'
import type { Address, NodeId } from '../../../protocol/index.ts'
import type { RequestHandler } from '../network.ts'
import type { Session } from '../sessions.ts'
import { isRelayed, type RelayedAddress } from './address.ts'
import { createCircuits } from './circuits.ts'
import type { Ground } from './components.ts'
import { carryForOthers } from './hop.ts'
import { createReachability, decodeReached, encodeAddresses, REACH, serveReach } from './reachability.ts'
import { createReservations } from './reservations.ts'

export interface RelayingInit extends Ground {
  readonly self: NodeId
  /** Peers with a link, and the session that carries it. */
  readonly linked: () => Iterable<Session>
  readonly request: (peer: NodeId, service: string, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>
  readonly serve: (service: string, handler: RequestHandler) => void
  /** Whether the peer itself answers at one of the addresses, on a new connection. */
  readonly dialBack: (peer: NodeId, addresses: readonly Address[], signal: AbortSignal) => Promise<boolean>
  /** `addresses` gives something else now. */
  readonly changed: () => void
  readonly log: Logger
}

export interface Relaying {
  /** Where this node is found through others: none unless it cannot be dialled. */
  addresses(): readonly Address[]
  /** A connection through a relay that is connected already. */
  dial(node: NodeId, via: RelayedAddress, signal: AbortSignal): Promise<Connection>
  /** Links came up or went, or this host moved. */
  look(): void
  stop(): Promise<void>
}

/** All that this node does with relays: carries for others while it can be dialled itself, and is reached through others while it cannot. */
export async function startRelaying(init: RelayingInit): Promise<Relaying> {
  const { self, direct, linked, request, changed, log } = init
  let dialled = true
  const dialledByUs = (): readonly Session[] =>
    [...linked()].filter(({ connection }) => connection.direction === 'outbound' && !isRelayed(connection))

  const circuits = createCircuits(init)
  const endCarrying = await carryForOthers(init, () => dialled)
  const reservations = createReservations({ self, circuits, candidates: dialledByUs, changed, log })
  const reachability = createReachability({
    peers: () => dialledByUs().map(({ peer }) => peer),
    ask: async (peer, signal) => decodeReached(await request(peer, REACH, encodeAddresses(direct()), signal)),
    changed(now) {
      dialled = now
      log.info(now ? 'other members can dial this node again' : 'other members cannot dial this node')
      reservations.need(!now)
    },
  })
  init.serve(REACH, serveReach(init.dialBack))

  return {
    addresses: reservations.addresses,
    dial: circuits.dial,
    look() {
      reachability.look()
      if (!dialled) reservations.tend()
    },
    async stop() {
      reachability.stop()
      await Promise.all([endCarrying(), circuits.stop()])
    },
  }
}
