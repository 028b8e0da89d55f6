import './promise-with-resolvers.ts'
import { createHash } from 'node:crypto'
import { type PeerDiscovery, start, stop } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import type { Logger } from 'pino'
import { type Address, type NodeId, parseNodeId } from '../../protocol/index.ts'
import { endpointOf, isLocalHost, parseAddress } from './address.ts'
import type { Node } from './node.ts'
import { silentLogger } from './silent-logger.ts'

/** How often the LAN is asked. A new daemon asks at once, so this only matters after packets were lost. */
const QUERY_INTERVAL = 10_000

/** What a fleet is called on the LAN: the same for all its nodes, and nothing to one who does not know its id. */
export function serviceTag(fleet: string): string {
  const hash = createHash('sha256').update(`fleetd/mdns/1\0${fleet}`).digest('hex')
  return `_${hash.slice(0, 32)}._udp.local`
}

/** Not started: what it makes of packets and whom it tells. */
export function createDiscovery(
  { components }: { components: Pick<Node['components'], 'peerId' | 'addressManager'> },
  fleet: string,
  addresses: () => readonly Address[],
  discovered: (peer: NodeId, addresses: readonly Address[]) => void,
): PeerDiscovery {
  const self = components.peerId.toString()
  const discovery = mdns({ serviceTag: serviceTag(fleet), interval: QUERY_INTERVAL })({
    logger: silentLogger,
    // libp2p's own list also holds loopback addresses of wildcard listeners, and those that we do not advertise.
    addressManager: Object.assign(Object.create(components.addressManager), {
      getAddresses: () =>
        addresses()
          .filter(address => isLocalHost(endpointOf(address).host))
          .map(address => multiaddr(`${address}/p2p/${self}`)),
    }),
  })
  discovery.addEventListener('peer', ({ detail: { id, multiaddrs } }) => {
    try {
      const peer = parseNodeId(id.toString())
      if (peer !== self)
        discovered(
          peer,
          multiaddrs.slice(0, 16).map(address => parseAddress(address.toString())),
        )
    } catch {
      // Anybody on the LAN can answer; what is no node of ours is not looked at twice.
    }
  })
  return discovery
}

/**
 * Announces us to our fleet on the LAN and tells who else is there. Resolves with what ends it. A host without multicast,
 * or whose port 5353 is taken, finds nobody and is none the worse.
 */
export async function announce(
  node: Node,
  fleet: string,
  addresses: () => readonly Address[],
  discovered: (peer: NodeId, addresses: readonly Address[]) => void,
  log: Logger,
): Promise<() => Promise<void>> {
  const discovery = createDiscovery(node, fleet, addresses, discovered)
  try {
    await start(discovery)
  } catch (error) {
    log.info({ reason: String(error) }, 'mDNS cannot be used on this host; nodes are found by address alone')
  }
  return async () => {
    try {
      await stop(discovery)
    } catch (error) {
      log.debug({ reason: String(error) }, 'mDNS did not stop cleanly')
    }
  }
}
