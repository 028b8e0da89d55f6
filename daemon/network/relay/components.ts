import type { CircuitRelayServerComponents, CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import type { PeerId, StreamHandler } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type Address, FleetError, type NodeId } from '../../../protocol/index.ts'
import type { Node } from '../node.ts'
import type { Sessions } from '../sessions.ts'
import { silentLogger } from '../silent-logger.ts'
import { isRelayed } from './address.ts'

/** What relaying stands on. */
export interface Ground {
  readonly node: Node
  readonly sessions: Sessions
  /** Where this node is dialled directly. */
  readonly direct: () => readonly Address[]
}

/**
 * What circuit relay is shown in place of libp2p: admitted peers and the direct connections to them, nothing else. It registers its protocols with
 * `handle`; it cannot dial, remembers nobody, and asks nobody to identify itself.
 */
export function componentsFor(
  { node: { components }, sessions, direct }: Ground,
  handle: (protocol: string, handler: StreamHandler) => Promise<void>,
  mayReserve: () => boolean,
): CircuitRelayServerComponents & CircuitRelayTransportComponents {
  const connections = (peer: PeerId) =>
    sessions
      .of(peer.toString() as NodeId)
      .map(({ connection }) => connection)
      .filter(connection => !isRelayed(connection))
  const shown = {
    peerId: components.peerId,
    privateKey: components.privateKey,
    upgrader: components.upgrader,
    events: components.events,
    logger: silentLogger,
    registrar: {
      handle,
      unhandle: async () => {},
      register: async () => 'none',
      unregister() {},
    },
    connectionManager: {
      getConnections: connections,
      async openConnection(peer: PeerId) {
        const [connection] = connections(peer)
        if (connection === undefined) throw new FleetError('unavailable', `${peer} is not connected directly`)
        return connection
      },
    },
    connectionGater: {
      denyInboundRelayReservation: () => !mayReserve(),
      denyOutboundRelayedConnection: (_from: PeerId, to: PeerId) => connections(to).length === 0,
    },
    addressManager: {
      getAddresses: () => direct().map(address => multiaddr(`${address}/p2p/${components.peerId}`)),
    },
    peerStore: { merge: async () => {}, all: async () => [] },
    transportManager: {
      async listen() {
        throw new FleetError('refused', 'a relay that nothing was reserved at')
      },
    },
  }
  return shown as unknown as CircuitRelayServerComponents & CircuitRelayTransportComponents
}
