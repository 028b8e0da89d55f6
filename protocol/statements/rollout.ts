import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { counter, digest, label, nodeId, reason, time } from './fields.ts'

export const strategy = z.enum(['rolling', 'canary'])
export type Strategy = z.infer<typeof strategy>

/** An operator's order: bring this layer of these nodes to this image, in this manner. */
export const planSchema = z
  .object({
    group: label,
    /** The plan's number in its group; only grows. */
    generation: z.number().int().min(1),
    layer: label,
    image: digest,
    /** `name:version`, for people; the digest is what counts. */
    version: z.string().max(2 * LIMITS.name),
    /** The image that the layer goes back to when this plan is undone: the target of the last generation that was done, or null when there was none. */
    previous: digest.nullable(),
    /** Every node that the plan is for, in the order in which they may go; the first `canary` are the canaries. */
    roster: z.array(nodeId).min(1).max(LIMITS.roster),
    strategy,
    /** How many go first and must all be healthy before any other. 0 with strategy `rolling`. */
    canary: counter,
    /** K: the most nodes of the group that may be voluntarily down at once. */
    maxUnavailable: z.number().int().min(1).max(LIMITS.roster),
    /** How long the new image must stay healthy before the permit is given back. Milliseconds. */
    minHealthy: counter,
    /** How long after the flip it may take to get there; then the node flips back. Milliseconds. */
    deadline: z.number().int().min(1),
    /** The rollout is undone when this many nodes have failed. A failed canary counts as reaching it. */
    maxFailed: z.number().int().min(1),
    /** No step of the plan is taken after this time. */
    notAfter: time,
    /** Activates the image even where its digest was denied before. */
    force: z.boolean(),
    reason,
  })
  .refine(plan => new Set(plan.roster).size === plan.roster.length, 'the roster names a node twice')
  .refine(plan => plan.canary <= plan.roster.length, 'more canaries than nodes')
  .refine(
    plan => (plan.strategy === 'canary') === plan.canary > 0,
    'strategy canary needs canaries, and no other has them',
  )
export type Plan = z.infer<typeof planSchema>
export const PLAN: StatementKind<Plan> = { domain: 'fleetd/plan/1', schema: planSchema, maxBytes: LIMITS.plan }

/** An operator's word on a rollout under way. */
export const orderSchema = z.object({
  group: label,
  generation: z.number().int().min(1),
  verb: z.enum(['pause', 'resume', 'promote', 'abort', 'undo', 'write-off']),
  /** For `write-off`: whose permit is freed and identity fenced. */
  node: nodeId.optional(),
  reason,
})
export type Order = z.infer<typeof orderSchema>
export const ORDER: StatementKind<Order> = { domain: 'fleetd/order/1', schema: orderSchema, maxBytes: LIMITS.order }
