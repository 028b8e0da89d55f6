import { getServers } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import { type Address, FleetError } from '../../protocol/index.ts'
import { type InterfaceAddress, interfaceAddresses, isOnLink } from './interfaces.ts'

/** A host and TCP port; the host is an IP address or a DNS name. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

const MULTIADDR = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/p2p\/[^/]+)?$/
const HOST_PORT = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/
// RFC 1123 host names: letters, digits and hyphens in labels of at most 63.
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/i

/**
 * `192.0.2.1:7946`, `[::1]:7946`, `seed.example:7946` or a multiaddr `/ip4/192.0.2.1/tcp/7946` (a trailing `/p2p/ID` is
 * dropped). Throws `bad-input` saying what was expected.
 */
export function parseAddress(text: string): Address {
  const endpoint = text.startsWith('/') ? fromMultiaddr(text) : fromHostPort(text)
  if (endpoint === undefined) {
    throw new FleetError(
      'bad-input',
      `not an address: ${JSON.stringify(text.slice(0, 120))}; expected HOST:PORT, [IPV6]:PORT or /ip4/HOST/tcp/PORT`,
    )
  }
  return addressOf(endpoint)
}

/** The host and port of an address that `parseAddress` made. Throws `bad-input` on anything else. */
export function endpointOf(address: Address): Endpoint {
  const endpoint = fromMultiaddr(address)
  if (endpoint === undefined)
    throw new FleetError('bad-input', `not an address: ${JSON.stringify(String(address).slice(0, 120))}`)
  return endpoint
}

export function addressOf({ host, port }: Endpoint): Address {
  const family = isIPv4(host) ? 'ip4' : isIPv6(host) ? 'ip6' : 'dns'
  return `/${family}/${host}/tcp/${port}` as Address
}

function fromMultiaddr(text: string): Endpoint | undefined {
  const [, family, host, port] = MULTIADDR.exec(text) ?? []
  if (host === undefined) return undefined
  const valid = family === 'ip4' ? isIPv4(host) : family === 'ip6' ? isIPv6(host) : HOST_NAME.test(host)
  return valid ? withPort(host, Number(port)) : undefined
}

function fromHostPort(text: string): Endpoint | undefined {
  const [, bracketed, plain, port] = HOST_PORT.exec(text) ?? []
  if (bracketed !== undefined) return isIPv6(bracketed) ? withPort(bracketed, Number(port)) : undefined
  if (plain === undefined) return undefined
  return isIPv4(plain) || (HOST_NAME.test(plain) && !/^[\d.]+$/.test(plain)) ? withPort(plain, Number(port)) : undefined
}

function withPort(host: string, port: number): Endpoint | undefined {
  // A zone id (fe80::1%eth0) means something on one host alone.
  return port > 65_535 || host.includes('%') ? undefined : { host: host.toLowerCase(), port }
}

const LOCAL = new BlockList()
LOCAL.addSubnet('10.0.0.0', 8, 'ipv4') // RFC 1918
LOCAL.addSubnet('172.16.0.0', 12, 'ipv4')
LOCAL.addSubnet('192.168.0.0', 16, 'ipv4')
LOCAL.addSubnet('127.0.0.0', 8, 'ipv4') // RFC 1122 loopback
LOCAL.addSubnet('169.254.0.0', 16, 'ipv4') // RFC 3927 link-local
LOCAL.addAddress('::1', 'ipv6')
LOCAL.addSubnet('fc00::', 7, 'ipv6') // RFC 4193 unique local
LOCAL.addSubnet('fe80::', 10, 'ipv6') // RFC 4291 link-local

/** True for private, loopback and link-local IP addresses; false for anything else, a DNS name included. */
export function isLocalHost(host: string): boolean {
  return isIP(host) !== 0 && LOCAL.check(host, isIPv4(host) ? 'ipv4' : 'ipv6')
}

/** True for an address that leads back to the host that uses it. */
export const isLoopback = (host: string): boolean => host === '::1' || (isIPv4(host) && host.startsWith('127.'))

/**
 * The IP endpoints behind an endpoint: itself, or what the host's resolver says of its name. Rejects when the name is unknown, and with
 * `lanOnly` when a resolver of this host is not on the LAN: the question alone would be a packet to the outside. A private address does not
 * make it one of the LAN, because private addresses may be behind the router.
 */
export async function resolveEndpoint(
  endpoint: Endpoint,
  lanOnly = false,
  resolvers: readonly string[] = getServers(),
): Promise<readonly Endpoint[]> {
  if (isIP(endpoint.host) !== 0) return [endpoint]
  const outside = lanOnly ? resolvers.map(resolverHost).find(host => !isLocalHost(host) || !isOnLink(host)) : undefined
  if (outside !== undefined)
    throw new FleetError('unavailable', `${endpoint.host} is not looked up: the resolver ${outside} is not on the LAN`)
  const found = await lookup(endpoint.host, { all: true, verbatim: true })
  return found.map(({ address }) => ({ host: address, port: endpoint.port }))
}

/** `192.0.2.1`, `192.0.2.1:53` or `[2001:db8::1]:53`, as Node.js names resolvers; a zone does not matter here. */
function resolverHost(server: string): string {
  const bare = isIPv6(server) ? server : (HOST_PORT.exec(server)?.slice(1, 3).find(Boolean) ?? server)
  return bare.replace(/%.*$/, '')
}

/**
 * What others can dial when we listen on `endpoint`: a wildcard becomes the addresses of its family that `all` interfaces have, without
 * IPv6 link-local, which is meaningless without a zone, and without loopback unless this host has nothing else of either family.
 */
export function expandWildcard(
  endpoint: Endpoint,
  all: readonly Pick<InterfaceAddress, 'address' | 'family' | 'internal'>[] = interfaceAddresses(),
): readonly Endpoint[] {
  if (endpoint.host !== '0.0.0.0' && endpoint.host !== '::') return [endpoint]
  const family = endpoint.host === '::' ? 'IPv6' : 'IPv4'
  const found = all.filter(({ address }) => !/^fe[89ab]/i.test(address))
  const outward = found.filter(({ internal }) => !internal)
  return (outward.length > 0 ? outward : found)
    .filter(found => found.family === family)
    .map(({ address }) => ({ host: address, port: endpoint.port }))
}
