import multicastDns, { type MulticastDNS, type QueryOutgoingPacket, type ResponseOutgoingPacket } from 'multicast-dns'
import type { Logger } from 'pino'
import { isLocalHost } from './address.ts'
import { type InterfaceAddress, interfaceAddresses } from './interfaces.ts'

/** RFC 6762, section 3. */
const PORT = 5353
const GROUP = { IPv4: '224.0.0.251', IPv6: 'ff02::fb' } as const

/**
 * Makes what `voice` says go out on every interface of this host, in both families, and tells it what is said in IPv6. By itself multicast-dns speaks
 * IPv4 alone, and the kernel sends that on one interface: that of the default route, and on a LAN without one on none. With `lanOnly` an
 * interface that has a public address is left out. Gives back what ends it.
 */
export function speakEverywhere(voice: MulticastDNS, lanOnly: boolean, log: Logger): () => Promise<void> {
  const mouths = endpoints(interfaceAddresses(), lanOnly).map(endpoint => open(endpoint, voice, log))
  voice.query = (packet: string | QueryOutgoingPacket | QueryOutgoingPacket['questions']) => {
    for (const mouth of mouths) mouth.query(packet)
  }
  voice.respond = (answers: ResponseOutgoingPacket | ResponseOutgoingPacket['answers']) => {
    for (const mouth of mouths) mouth.respond(answers)
  }
  return async () => {
    await Promise.all(mouths.map(mouth => new Promise<void>(done => mouth.destroy(done))))
  }
}

function open({ iface, family, address }: InterfaceAddress, voice: MulticastDNS, log: Logger): MulticastDNS {
  const given =
    family === 'IPv4'
      ? { type: 'udp4' as const, interface: address, bind: GROUP.IPv4 }
      : { type: 'udp6' as const, interface: `::%${iface}`, bind: `${GROUP.IPv6}%${iface}` }
  // Bound to the group: what is sent to this host alone stays with whatever else speaks mDNS here.
  const mouth = multicastDns({ ...given, port: PORT, ip: GROUP[family] })
  const failed = (error: unknown): void =>
    log.debug({ iface, family, reason: String(error) }, 'mDNS cannot be used on an interface')
  mouth.on('error', failed)
  mouth.on('warning', failed)
  // Of IPv4 `voice` hears everything itself.
  if (family === 'IPv6') {
    mouth.on('query', (packet, from) => voice.emit('query', packet, from))
    mouth.on('response', (packet, from) => voice.emit('response', packet, from))
  }
  return mouth
}

/** One IPv4 address and one IPv6 link-local address of each interface, because a group is joined once on each; of loopback when there is nothing else. */
export function endpoints(all: readonly InterfaceAddress[], lanOnly: boolean): readonly InterfaceAddress[] {
  const publicly = new Set(all.filter(({ address }) => !isLocalHost(address)).map(({ iface }) => iface))
  const chosen = new Map<string, InterfaceAddress>()
  for (const endpoint of all) {
    const { iface, family, scope } = endpoint
    if ((family === 'IPv6' && scope === undefined) || (lanOnly && publicly.has(iface))) continue
    const place = `${iface} ${family}`
    if (!chosen.has(place)) chosen.set(place, endpoint)
  }
  const usable = [...chosen.values()]
  const outward = usable.filter(({ internal }) => !internal)
  return outward.length > 0 ? outward : usable
}
