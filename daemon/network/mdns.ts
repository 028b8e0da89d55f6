import './mdns-packets.ts'
import './promise-with-resolvers.ts'
import { createHash } from 'node:crypto'
import { type PeerDiscovery, start, stop } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import type { MulticastDNS } from 'multicast-dns'
import type { Logger } from 'pino'
import { type Address, type NodeId, parseNodeId } from '../../protocol/index.ts'
import { endpointOf, isLocalHost, parseAddress } from './address.ts'
import { watchInterfaces } from './interfaces.ts'
import { speakEverywhere } from './multicast.ts'
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

export interface Announcement {
  readonly node: Node
  readonly fleet: string
  /** Do not speak where there is a public address. */
  readonly lanOnly: boolean
  readonly addresses: () => readonly Address[]
  readonly discovered: (peer: NodeId, addresses: readonly Address[]) => void
  readonly log: Logger
}

/**
 * Announces us to our fleet on every LAN that this host is on, also on those that come later, and tells who else is there. Resolves with what ends it.
 * A host without multicast, or whose port 5353 is taken, finds nobody and is none the worse.
 */
export async function announce(init: Announcement): Promise<() => Promise<void>> {
  const { node, fleet, lanOnly, addresses, discovered, log } = init
  const discovery = createDiscovery(node, fleet, addresses, discovered)
  let hush = async (): Promise<void> => {}
  const speak = async (): Promise<void> => {
    try {
      await start(discovery)
      const { mdns: voice } = discovery as { mdns?: MulticastDNS }
      if (voice === undefined) return
      hush = speakEverywhere(voice, lanOnly, log)
      // Its first question went where the kernel sends multicast by itself.
      voice.query({ questions: [{ name: serviceTag(fleet), type: 'PTR' }] })
    } catch (error) {
      log.info({ reason: String(error) }, 'mDNS cannot be used on this host; nodes are found by address alone')
    }
  }
  const cease = async (): Promise<void> => {
    try {
      await hush()
      hush = async () => {}
      await stop(discovery)
    } catch (error) {
      log.debug({ reason: String(error) }, 'mDNS did not stop cleanly')
    }
  }
  await speak()
  // Begun anew after each change: a socket's membership of the group ends with the interface that it was on.
  let changes = Promise.resolve()
  const unwatch = watchInterfaces(() => {
    changes = changes.then(cease).then(speak)
  })
  return async () => {
    unwatch()
    await changes
    await cease()
  }
}
