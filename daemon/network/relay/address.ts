import type { Connection } from '@libp2p/interface'
import { type Address, type NodeId, parseNodeId } from '../../../protocol/index.ts'
import { parseAddress } from '../address.ts'

/** How a member is reached that cannot be dialled: through a relay that it holds a connection to. */
export interface RelayedAddress {
  readonly relay: NodeId
  /** Where the relay itself is dialled. */
  readonly at: Address
}

const RELAYED = /^(\/.+)\/p2p\/([^/]+)\/p2p-circuit$/

/** `/ip4/192.0.2.1/tcp/7946/p2p/RELAY/p2p-circuit`, in the words of libp2p. */
export const relayedAddress = ({ relay, at }: RelayedAddress): Address => `${at}/p2p/${relay}/p2p-circuit` as Address

/** Undefined for what is dialled directly, and for what is no address at all. */
export function parseRelayed(address: Address): RelayedAddress | undefined {
  const [, at, relay] = RELAYED.exec(address) ?? []
  if (at === undefined || relay === undefined) return undefined
  try {
    return { relay: parseNodeId(relay), at: parseAddress(at) }
  } catch {
    return undefined
  }
}

export const isRelayed = ({ remoteAddr }: Connection): boolean => remoteAddr.toString().includes('/p2p-circuit')
