import packet from 'dns-packet'
import { createDiscovery, serviceTag } from '../../../daemon/network/mdns.ts'
import type { Address, NodeId } from '../../../protocol/index.ts'
import { Broken, type Target } from '../target.ts'
import { NODE, PEER } from '../world.ts'

const FLEET = 'f'.repeat(64)
const TAG = serviceTag(FLEET)
const told: { peer: NodeId; addresses: readonly Address[] }[] = []
let answers = 0

/** What libp2p's discovery does once it has a socket; the socket is ours here. */
interface Ears {
  mdns: unknown
  _onMdnsQuery(packet: unknown): void
  _onMdnsResponse(packet: unknown): void
}
const discovery = createDiscovery(
  { components: { peerId: { toString: () => PEER }, addressManager: {} } as never },
  FLEET,
  () => ['/ip4/192.168.1.2/tcp/7946' as Address],
  (peer, addresses) => told.push({ peer, addresses }),
) as unknown as Ears
discovery.mdns = {
  respond() {
    answers += 1
  },
}

const response = (tag: string, ...texts: string[]): Uint8Array =>
  packet.encode({
    type: 'response',
    answers: [
      { name: tag, type: 'PTR', class: 'IN', ttl: 120, data: `peer.${tag}` },
      ...texts.map(data => ({ name: `peer.${tag}`, type: 'TXT' as const, class: 'IN' as const, ttl: 120, data })),
    ],
  })
const query = packet.encode({ type: 'query', questions: [{ name: TAG, type: 'PTR' }] })
/** A name that points back at itself, and one that is as long as pointers can make it. */
const header = (answers: number): number[] => [0, 0, 0x84, 0, 0, 0, answers >> 8, answers & 255, 0, 0, 0, 0]
const loop = Uint8Array.from([...header(1), 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 1, 0, 0])
const pointing = Uint8Array.from([
  ...header(700),
  ...[...new Array(30)].flatMap(() => [7, ...Buffer.from('aaaaaaa')]),
  ...[0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0],
  ...[...new Array(699)].flatMap(() => [0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0]),
])

/** A packet of anybody on the LAN. What does not decode is dropped by multicast-dns; what does is told to the discovery. */
export const mdns: Target = {
  name: 'mdns',
  // Larger ones are no mDNS messages.
  maxBytes: 9_100,
  refusals: [],
  seeds: () => [
    new Uint8Array(),
    query,
    response(TAG, `dnsaddr=/ip4/192.168.1.3/tcp/7946/p2p/${NODE}`),
    response(TAG, ...new Array(40).fill(`dnsaddr=/ip4/192.168.1.3/tcp/7946/p2p/${NODE}`)),
    response(TAG, `dnsaddr=/dns4/${'a.'.repeat(60)}b/tcp/1/p2p/${NODE}`, 'x'.repeat(255)),
    response(TAG, 'dnsaddr=/p2p-circuit/p2p-circuit'),
    response(TAG, `dnsaddr=/ip4/192.168.1.3/tcp/7946/p2p/${PEER}`),
    response('_p2p._udp.local', 'dnsaddr=/ip4/192.168.1.3/tcp/7946'),
    loop,
    pointing,
  ],
  run(input) {
    told.length = 0
    answers = 0
    let decoded: { type?: string | undefined }
    try {
      decoded = packet.decode(Buffer.from(input))
    } catch {
      return
    }
    if (decoded.type === 'query') discovery._onMdnsQuery(decoded)
    if (decoded.type === 'response') discovery._onMdnsResponse(decoded)
  },
  verify() {
    if (told.length + answers > 1) throw new Broken('one packet was answered more than once')
    for (const { peer, addresses } of told) {
      if (peer === PEER) throw new Broken('it discovered itself')
      if (addresses.length > 16) throw new Broken(`one packet named ${addresses.length} addresses`)
      for (const address of addresses)
        if (!/^\/(ip4|ip6|dns)\/[^/]+\/tcp\/\d+$/.test(address)) throw new Broken(`no address: ${address}`)
    }
  },
}
