import type { Address, NodeId } from '../../protocol/index.ts'
import type { Network } from './network.ts'

/** The network for one who knows members by their id alone: requests and channels are made at the addresses that `addressesOf` gives. */
export function addressed(network: Network, addressesOf: (node: NodeId) => readonly Address[]): Network {
  return {
    ...network,
    request: (node, service, body, given) =>
      network.request(node, service, body, { addresses: addressesOf(node), ...given }),
    openChannel: (node, service, given) =>
      network.openChannel(node, service, { addresses: addressesOf(node), ...given }),
  }
}
