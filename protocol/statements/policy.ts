import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { counter, digest, label, nodeId, publicKey, recordOf } from './fields.ts'

export const policyGroupSchema = z.object({
  /** The most members that may be voluntarily down at once, whatever a plan asks: a count or `"25%"` of the group. Absent: the plan alone decides. */
  maxUnavailable: z.union([z.number().int().min(1), z.string().regex(/^(100|[1-9]?[0-9])%$/)]).optional(),
  /** The voters that the group's ledger starts with. Odd in number; they are replaced and added to through the ledger itself. */
  genesisVoters: z
    .array(nodeId)
    .min(1)
    .max(7)
    .refine(voters => voters.length % 2 === 1, 'expected an odd number of voters')
    .refine(voters => new Set(voters).size === voters.length, 'the genesis voters name a node twice'),
})

/**
 * The root of trust. Policy 1 names the fleet: the fleet id is its digest. Policy N+1 counts only when signed by the
 * threshold of policy N's operators and by the threshold of its own (the two-sided root rotation of TUF, spec §5.3).
 */
export const policySchema = z.object({
  version: z.number().int().min(1),
  /** The digest of the policy before; null for policy 1. */
  previous: digest.nullable(),
  operators: z.array(publicKey).min(1).max(16),
  /** How many operators must sign a policy, and a plan. */
  threshold: z.number().int().min(1).max(16),
  /** Keys that may endorse images. */
  publishers: z.array(publicKey).max(64),
  /** Whose registry (`--oci`) takes pushes: that of any member, which is what absence means, or of those alone whose node key is a publisher's. */
  pushes: z.enum(['members', 'publishers']).optional(),
  /** Budgets by group; `*` holds for groups that are not named. */
  groups: recordOf(z.union([label, z.literal('*')]), policyGroupSchema, 1024),
  /** Distinguishes fleets that were made from the same keys. */
  nonce: counter,
})
export type Policy = z.infer<typeof policySchema>

export const POLICY: StatementKind<Policy> = {
  domain: 'fleetd/policy/1',
  schema: policySchema,
  maxBytes: LIMITS.policy,
}
