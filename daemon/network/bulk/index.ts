// Channels for bytes in bulk, over TLS connections beside libp2p's.
export { type Bulk, createBulk } from './bulk.ts'
export { sharedPort } from './doorstep.ts'
