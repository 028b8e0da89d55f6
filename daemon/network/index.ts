// How a daemon meets others: admitted connections, links, requests, channels and gossip, behind the `Network` interface.
// It knows no record, event or plan; who belongs to the fleet it asks of the `Admission` that it is given.
// Nothing outside this folder knows libp2p.
export { endpointOf, isLocalHost, parseAddress } from './address.ts'
export { addressed } from './addressed.ts'
export { createLibp2pNetwork, type Libp2pNetworkOptions } from './libp2p.ts'
export { createMemoryHub, type MemoryHub } from './memory.ts'
export * from './network.ts'
