import * as z from 'zod'
import { address, counter, label, nodeId, time } from '../statements/fields.ts'
import { list } from './fields.ts'
import { memberStatus } from './fleet.ts'

/** What a host answers a connection that is begun to it: that it is taken, that nothing listens there, or nothing at all. */
const knock = z.enum(['open', 'refused', 'none'])

/** The way to one member, and back. */
export const peerCheckSchema = z.object({
  node: nodeId,
  name: label,
  status: memberStatus,
  /** Where this node looks for it. */
  addresses: list(address),
  port: knock,
  /** Why its daemon did not say anything; null when it did. */
  silence: z.string().nullable(),
  /** How far its clock is ahead of this daemon's, in milliseconds, and how wrong that may be either way; null when it did not say. */
  clock: z.object({ aheadMs: z.number(), errorMs: z.number().nonnegative() }).nullable(),
  /** What this host answers it at the addresses that this node gives out; null when it did not say. */
  back: knock.nullable(),
})
export type PeerCheck = z.infer<typeof peerCheckSchema>

/** What a daemon finds out about its host and the way to other members when it is asked to. */
export const checkupSchema = z.object({
  /** The clock that this daemon lives by, which never goes back, and the clock of its host. */
  at: time,
  wall: time,
  /** Bytes: what all chunks take and may take, what the file system has left and images leave of it. */
  disk: z.object({ path: z.string(), used: counter, quota: counter, free: counter, minFree: counter }),
  /** Local health score of the failure detector: 0 is well, 8 is worst. */
  healthScore: counter,
  /** Stored chunks that do not match their digests, and that no peer has given back yet. */
  damagedChunks: counter,
  /** Neighbours with an open link. */
  links: counter,
  /** When another daemon was last heard to speak with this node's key, and where it said to be: the data directory was copied. */
  twin: z.object({ at: time, addresses: list(address) }).nullable(),
  /** Some of the members, chosen anew each time: of a small fleet all of them. */
  peers: list(peerCheckSchema),
})
export type Checkup = z.infer<typeof checkupSchema>
