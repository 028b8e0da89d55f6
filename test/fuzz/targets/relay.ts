import { parseRelayed, relayedAddress } from '../../../daemon/network/relay/address.ts'
import { decodeAddresses, decodeReached, encodeAddresses } from '../../../daemon/network/relay/reachability.ts'
import { type Address, encode, FleetError, LIMITS } from '../../../protocol/index.ts'
import { assertSame, Broken, HOSTILE, nils, type Target } from '../target.ts'
import { NODE } from '../world.ts'

/** What a member asks of another and is told about being dialled, and the addresses in it, any of which may lead through a relay. */
export const reach: Target = {
  name: 'reach',
  maxBytes: LIMITS.addresses * 300 + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE.filter(({ byteLength }) => byteLength < LIMITS.addresses * 300),
    encode([true]),
    encode(nils(4_000)),
    encodeAddresses(['/ip4/192.0.2.1/tcp/7946', '/ip6/2001:db8::1/tcp/7946'] as Address[]),
    encodeAddresses([`/ip4/192.0.2.1/tcp/7946/p2p/${NODE}/p2p-circuit`] as Address[]),
    encodeAddresses([`/p2p/${NODE}/p2p-circuit`, '/p2p-circuit', `/dns/a/tcp/1/p2p/x/p2p-circuit`] as Address[]),
    encodeAddresses(Array.from({ length: LIMITS.addresses + 1 }, () => '/ip4/192.0.2.1/tcp/1' as Address)),
  ],
  run(input) {
    try {
      return decodeReached(input)
    } catch (error) {
      if (!(error instanceof FleetError)) throw error
      const addresses = decodeAddresses(input)
      return { addresses, relayed: addresses.flatMap(address => parseRelayed(address) ?? []) }
    }
  },
  verify(value: boolean | { addresses: readonly Address[]; relayed: readonly { relay: never; at: Address }[] }) {
    if (typeof value === 'boolean') return
    if (value.addresses.length > LIMITS.addresses) throw new Broken(`${value.addresses.length} addresses`)
    for (const via of value.relayed) assertSame('a relayed address', via, parseRelayed(relayedAddress(via)))
  },
}
