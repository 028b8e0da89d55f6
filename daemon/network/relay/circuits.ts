import { type Connection, type PeerId, start, stop, type Transport } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type Address, FleetError, type NodeId } from '../../../protocol/index.ts'
import type { Session } from '../sessions.ts'
import { parseRelayed, type RelayedAddress, relayedAddress } from './address.ts'
import { componentsFor, type Ground } from './components.ts'

/** Connections that one relay may bring us at once. */
const BROUGHT_BY_ONE = 64
/** Addresses under which we are told to be found through one relay: one of each family, for most. */
const ADDRESSES_A_RELAY = 2

/** This node's own use of relays. */
export interface Circuits {
  /** Connects to a member through the relay of an admitted, direct session. Not admitted yet: who answers has shown its key, and nothing else. */
  dial(node: NodeId, via: RelayedAddress, signal: AbortSignal): Promise<Connection>
  /** Asks a peer to bring connections to us. Resolves with where we are found through it; rejects when it will not. It holds for as long as the connection does. */
  reserve(session: Session): Promise<readonly Address[]>
  stop(): Promise<void>
}

/** What the library's transport shows of itself, beyond a transport. */
interface Reserving extends Transport {
  readonly reservationStore: {
    addRelay(peer: PeerId, type: 'configured'): Promise<{ details: { reservation: { addrs: Uint8Array[] } } }>
    hasReservation(peer: PeerId): boolean
  }
}

/** The library is loaded with the first use. */
export function createCircuits(ground: Ground): Circuits {
  const { node, sessions } = ground
  let loading: Promise<Reserving> | undefined

  const load = async (): Promise<Reserving> => {
    const { circuitRelayTransport } = await import('./library.ts')
    const transport: Reserving = circuitRelayTransport()(
      componentsFor(
        ground,
        (protocol, handler) =>
          sessions.handle(
            protocol,
            async ({ connection }, stream) => {
              if (!transport.reservationStore.hasReservation(connection.remotePeer))
                throw new FleetError('refused', 'nothing was reserved at this relay')
              await handler({ connection, stream })
            },
            { maxInboundStreams: BROUGHT_BY_ONE, maxOutboundStreams: BROUGHT_BY_ONE },
          ),
        () => false,
      ),
    ) as Reserving
    await start(transport)
    return transport
  }
  const transport = (): Promise<Reserving> => {
    loading ??= load()
    return loading
  }

  return {
    async dial(to, via, signal) {
      const { upgrader } = node.components
      return (await transport()).dial(multiaddr(`${relayedAddress(via)}/p2p/${to}`), { signal, upgrader })
    },
    async reserve({ peer, connection }) {
      const { reservationStore } = await transport()
      const { details } = await reservationStore.addRelay(connection.remotePeer, 'configured')
      const found = details.reservation.addrs.flatMap(bytes => {
        const via = parseRelayed(`${multiaddr(bytes)}/p2p-circuit` as Address)
        return via?.relay === peer ? [relayedAddress(via)] : []
      })
      return [...new Set(found)].slice(0, ADDRESSES_A_RELAY)
    },
    async stop() {
      const loaded = await loading
      if (loaded !== undefined) await stop(loaded)
    },
  }
}
