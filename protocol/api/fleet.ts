import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import { address, counter, label, nodeClass, nodeId, reason, tags, time } from '../statements/fields.ts'
import { health, layerStatusSchema, serviceSchema, weight } from '../statements/member.ts'
import { policySchema } from '../statements/policy.ts'
import { document, fleetId, list, nodeRef } from './fields.ts'

export const versionSchema = z.object({
  /** fleetd's version. */
  version: z.string(),
  /** The version of this interface. */
  api: z.literal(1),
  /** The version of Node that runs it. */
  node: z.string(),
})
export type VersionInfo = z.infer<typeof versionSchema>

export const serviceStateSchema = z.object({
  ...serviceSchema.shape,
  health,
  /** 0: nobody is to be sent there; it is about to stop. */
  weight,
})
export type ServiceStateView = z.infer<typeof serviceStateSchema>

/** What a daemon says of itself. `fleet` is null while it is unclaimed. */
export const infoSchema = z.object({
  id: nodeId,
  name: label,
  version: z.string(),
  fleet: fleetId.nullable(),
  class: nodeClass,
  zone: label,
  group: label,
  tags,
  epoch: counter,
  services: list(serviceStateSchema),
  /** Where peers reach it; what an invite names as the way in. */
  addresses: list(address),
  /** Where this interface is served. */
  api: list(z.string()),
  /** SHA-256 of the certificate that it shows at `https` addresses; missing where it has none. */
  apiFingerprint: z.string().optional(),
  /** Marks of what it runs: `manual`, `drift`, `hotfix`, `age`. */
  taint: list(z.string()),
  dataDir: z.string(),
  pid: z.number().int(),
  startedAt: time,
})
export type Info = z.infer<typeof infoSchema>

/** `away` and `overdue` are for class intermittent, which is never `failed`. */
export const memberStatus = z.enum(['alive', 'suspect', 'failed', 'left', 'away', 'overdue'])
export type MemberStatus = z.infer<typeof memberStatus>

export const memberSchema = z.object({
  id: nodeId,
  name: label,
  addrs: list(address),
  status: memberStatus,
  class: nodeClass,
  zone: label,
  group: label,
  tags,
  epoch: counter,
  layers: list(layerStatusSchema),
  services: list(serviceStateSchema),
  health,
  /** Why, when not passing. */
  reason,
  taint: list(z.string()),
  /** Round trip in milliseconds; null for this node itself and where none was measured. */
  rttMs: z.number().nullable(),
  /** Round trip in milliseconds as network coordinates estimate it; null for this node itself and where a coordinate is missing. */
  estimatedRttMs: z.number().nullable(),
  version: z.string(),
  /** Since when this daemon sees it in this status, by its own clock. */
  since: time,
})
export type MemberView = z.infer<typeof memberSchema>
export const membersSchema = z.object({ members: list(memberSchema) })
export type Members = z.infer<typeof membersSchema>

/**
 * What changed among the members since the update before; in the first of a stream nothing was known before, so that it lists all. Round
 * trips alone are no change. A large change comes in several updates, and is whole with the first that has no `more`.
 */
export const membersChangeSchema = z.object({
  members: list(memberSchema),
  /** Those that are listed no more. */
  gone: list(nodeId),
  /** Another update that belongs to this change follows at once. */
  more: z.boolean(),
})
export type MembersChange = z.infer<typeof membersChangeSchema>

/** `to` is this daemon's own node where it is not given. */
export const rttQuerySchema = z.strictObject({ from: nodeRef, to: nodeRef.optional() })
const rttEnd = z.object({ node: nodeId, name: label })
export const rttSchema = z.object({
  from: rttEnd,
  to: rttEnd,
  /** In milliseconds: measured where this daemon is one of the two and has measured it, otherwise estimated. */
  rttMs: z.number(),
  measured: z.boolean(),
  /** As network coordinates estimate it; null where a coordinate is missing. */
  estimatedRttMs: z.number().nullable(),
})
export type Rtt = z.infer<typeof rttSchema>

const TOKEN_CHARACTERS = 400 * 1024
const token = z.string().min(1).max(TOKEN_CHARACTERS)

/** Makes an unclaimed daemon the first of a fleet: policy 1, and an invite for itself. */
export const claimSchema = z.strictObject({ chain: z.array(document(LIMITS.policy)).min(1).max(16), token })
export type Claim = z.output<typeof claimSchema>

/** Either an invite's token, or addresses (multiaddrs or HOST:PORT) of members of the fleet it belongs to already. */
export const joinSchema = z.union([
  z.strictObject({ token }),
  z.strictObject({ addresses: z.array(z.string().min(1).max(256)).min(1).max(LIMITS.addresses) }),
])
export type Join = z.output<typeof joinSchema>
export const joinedSchema = z.object({
  fleet: fleetId,
  /** The addresses at which a member answered. */
  reached: list(z.string()),
  /** Those at which none did, and why. They are tried again for as long as the daemon runs. */
  failed: list(z.object({ address: z.string(), reason: z.string() })),
})
export type Joined = z.infer<typeof joinedSchema>

export const tagsChangeSchema = z.strictObject({
  set: tags.default({}),
  delete: z.array(z.string().max(LIMITS.tagKey)).max(LIMITS.tags).default([]),
})
export type TagsChange = z.output<typeof tagsChangeSchema>
export const tagsSchema = z.object({ tags })
export type Tags = z.infer<typeof tagsSchema>

export const policyViewSchema = z.object({
  fleet: fleetId,
  /** The signed policies, from policy 1 on, in base64url. */
  chain: list(z.string()),
  /** The newest, opened. */
  policy: policySchema,
})
export type PolicyView = z.infer<typeof policyViewSchema>

/** `ready`: it takes part in its fleet, or waits to be claimed. `reason` says what is missing otherwise. */
export const readinessSchema = z.object({ ready: z.boolean(), reason: z.string() })
export type Readiness = z.infer<typeof readinessSchema>
