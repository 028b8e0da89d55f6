/**
 * What is accepted from outside, in one place. Every one is a refusal, never a truncation. Sizes are bytes,
 * times milliseconds.
 */
export const LIMITS = {
  /** One frame on a link stream. Bounds what a neighbour can make us buffer. */
  linkFrame: 512 * 1024,
  /** One request or response of an RPC stream. A plan for 4 000 nodes fits. */
  rpcMessage: 1024 * 1024,
  /** One frame on a bulk channel: about 1 MiB of chunks and their framing. */
  channelFrame: 2 * 1024 * 1024,
  /** The lowest limit of what chunks may take on the network, bytes a second: with one below it, what is worth a message would be more than a tenth of it. */
  lowestRate: 10_000,
  /** One gossiped envelope. */
  gossip: 256 * 1024,
  record: 8 * 1024,
  vitals: 12 * 1024,
  suspicion: 1024,
  dismissal: 1024,
  certificate: 4 * 1024,
  invite: 2 * 1024,
  policy: 64 * 1024,
  /** A plan names its whole roster: about 60 bytes a node. */
  plan: 256 * 1024,
  order: 4 * 1024,
  /** A ledger's value: a few permits, three bitmaps of the roster, and lists of digests. */
  ledgerValue: 64 * 1024,
  revocation: 2 * 1024,
  /** Names the members of a group. */
  recovery: 64 * 1024,
  endorsement: 1024,
  auditHead: 1024,
  /** One bundle of evidence. */
  evidence: 256 * 1024,
  /** Heads of one node's audit log that are kept: the newest, the oldest, and some between. */
  auditHeads: 16,
  /** An event with the largest payload and the longest `after`. */
  event: 68 * 1024,
  eventPayload: 64 * 1024,
  /** Characters. */
  eventName: 128,
  /** Events that an event names as before it: exact while no more of them were fired at once. */
  eventAfter: 16,
  manifest: 64 * 1024,
  /** Blobs of an image of kind `oci`: about 72 bytes of manifest each. */
  blobs: 512,
  /** One push: two references, four digests and a certificate. */
  push: 8 * 1024,
  /** Pushes that are kept, the newest of all and of each node. */
  pushes: 8192,
  pushesOfNode: 4096,
  /** 40 bytes a chunk: about 170 GiB of image. */
  chunkIndex: 128 * 1024 * 1024,
  roster: 4096,
  /** Of one recovery: each begins with a permit, and a ledger's value has to hold them. */
  recoveredMembers: 400,
  /** Of one plan. */
  waves: 32,
  windows: 8,
  zones: 256,
  lineage: 16,
  /** A query's own payload, and one node's response. */
  queryPayload: 64 * 1024,
  queryResponse: 64 * 1024,
  /** A whole query with its filters. */
  query: 128 * 1024,
  queryNodes: 512,
  queryLabels: 64,
  queryTimeout: 10 * 60_000,
  /** Patterns for tags in one query, and characters of one. */
  tagPatterns: 8,
  tagPattern: 256,
  name: 128,
  tags: 64,
  tagKey: 64,
  tagValue: 512,
  addresses: 16,
  layers: 16,
  /** Services that one node offers. */
  services: 16,
  images: 64,
  /** How far ahead of ours a signer's clock may be before its statement is refused. */
  clockSkew: 5 * 60_000,
  /** How long a connection may stay without having shown a certificate. */
  admission: 5_000,
} as const
