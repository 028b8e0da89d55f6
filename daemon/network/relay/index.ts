// Connections between members of which one cannot be dialled: libp2p's circuit relay v2, which carries bytes between two admitted peers and can
// neither read nor forge them, and the question whether this node can be dialled at all. The library is loaded when it is first needed;
// nobody is told of a protocol, and no stranger gets to one.
export { isRelayed, parseRelayed, type RelayedAddress } from './address.ts'
export { type Relaying, startRelaying } from './relaying.ts'
