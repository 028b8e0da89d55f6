import { isIPv6 } from 'node:net'

/** Who is counted as one at `address`: an IPv4 address, or the /64 of an IPv6 address, in which one host may have as many as it likes. */
export function askerOf(address: string): string {
  // RFC 4291, 2.5.5.2: how a socket of both families names who came by IPv4.
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.replace(/%.*$/, '').split('::')
  const [before, after] = [head, tail ?? ''].map(part => part.split(':').filter(Boolean))
  const groups =
    tail === undefined ? before! : [...before!, ...Array(8 - before!.length - after!.length).fill('0'), ...after!]
  return groups
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
    .join(':')
}
