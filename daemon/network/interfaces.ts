import { createSocket } from 'node:dgram'
import { BlockList, isIPv6 } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'

/** How often the host's interfaces are looked at, in milliseconds: Node.js is not told of changes. */
const LOOK_EVERY = 3_000

/** One address of an interface that is up. */
export interface InterfaceAddress {
  readonly iface: string
  readonly address: string
  readonly family: 'IPv4' | 'IPv6'
  readonly internal: boolean
  /** Of an IPv6 link-local address: the number of its interface. */
  readonly scope: number | undefined
  /** Differs between an interface and another one that was put in its place, even with the same address. */
  readonly key: string
}

export function interfaceAddresses(
  all: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): readonly InterfaceAddress[] {
  return Object.entries(all).flatMap(([iface, list = []]) => {
    // The number of the interface shows in its link-local address alone; with the hardware address it tells a new card from the old.
    const index = list.find(info => info.family === 'IPv6' && info.scopeid !== 0)
    return list.map(info => ({
      iface,
      address: info.address.toLowerCase(),
      family: info.family,
      internal: info.internal,
      scope: info.family === 'IPv6' && info.scopeid !== 0 ? info.scopeid : undefined,
      key: `${iface} ${info.mac} ${index?.family === 'IPv6' ? index.scopeid : ''} ${info.address}`,
    }))
  })
}

/** Calls `changed` after every change of the host's addresses, within about three seconds. Gives back what ends it. */
export function watchInterfaces(changed: (now: readonly InterfaceAddress[]) => void): () => void {
  const text = (list: readonly InterfaceAddress[]) =>
    list
      .map(({ key }) => key)
      .sort()
      .join('\n')
  let known = text(interfaceAddresses())
  const timer = setInterval(() => {
    const now = interfaceAddresses()
    if (text(now) === known) return
    known = text(now)
    changed(now)
  }, LOOK_EVERY)
  timer.unref()
  return () => clearInterval(timer)
}

/** Whether an IP address is of a network that an interface of this host is on, so that nothing sent to it passes a router. */
export function isOnLink(
  address: string,
  all: NodeJS.Dict<Pick<NetworkInterfaceInfo, 'address' | 'family' | 'cidr'>[]> = networkInterfaces(),
): boolean {
  const networks = new BlockList()
  for (const { address: own, family, cidr } of Object.values(all).flatMap(list => list ?? []))
    if (cidr !== null) networks.addSubnet(own, Number(cidr.split('/')[1]), family === 'IPv6' ? 'ipv6' : 'ipv4')
  return networks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/**
 * Whether this host still has an IP address. The list of interfaces leaves out those without a carrier, whose addresses are still there and
 * whose connections may outlive a short cut; only the kernel knows.
 */
export function isOurs(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const settle = (ours: boolean): void => {
      socket.close()
      resolve(ours)
    }
    socket.once('error', error => settle((error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL'))
    socket.bind({ address, port: 0, exclusive: true }, () => settle(true))
  })
}
