import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { counter, digest, label, nodeId, reason, time } from './fields.ts'

export const strategy = z.enum(['rolling', 'canary', 'waves', 'at-once'])
export type Strategy = z.infer<typeof strategy>

/**
 * A maintenance window: it opens whenever `cron` says so on the wall clocks of the IANA zone, and stays open for `duration` milliseconds
 * of real time. What the fields mean is decided by `windowsAt`; here only their shape is, so that a stranger's statement costs nothing.
 */
export const windowSchema = z.object({
  cron: z.string().min(1).max(128),
  duration: z
    .number()
    .int()
    .min(60_000)
    .max(31 * 86_400_000),
  zone: z.string().regex(/^[A-Za-z0-9_+\-/]{1,64}$/, 'expected an IANA time zone'),
})
export type MaintenanceWindow = z.infer<typeof windowSchema>

/**
 * The zones that a plan's nodes stand in, as the operator signed them: the cap is counted by these and not by what a node says of
 * itself when it asks for a permit.
 */
const zonesSchema = z.object({
  /** The most nodes of one zone that may be down at once. */
  cap: z.number().int().min(1).max(LIMITS.roster),
  names: z.array(label).min(1).max(LIMITS.zones),
  /** For each node of the roster, where its zone is in `names`. */
  of: z.array(counter).max(LIMITS.roster),
})

/** An image that a layer of a group ran before, and whether it may be skipped on the way to a newer one. */
const pastSchema = z.object({ image: digest, version: z.string().max(2 * LIMITS.name), barrier: z.boolean() })

/** What a plan says that asks for none of the gates. Also what a plan meant that was signed before there were any. */
export const NO_GATES: {
  waves: number[]
  soak: number
  analysis: number
  progressDeadline: number
  zones: null
  windows: MaintenanceWindow[]
  lineage: z.infer<typeof pastSchema>[]
  reversible: boolean
} = {
  waves: [],
  soak: 0,
  analysis: 0,
  progressDeadline: 10 * 60_000,
  zones: null,
  windows: [],
  lineage: [],
  reversible: true,
}

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
    /**
     * What the layer ran in this group before, oldest first. A node that is behind goes by the barriers among them, one after the other, as if it had been
     * there; one that runs none of these goes by all of them.
     */
    lineage: z.array(pastSchema).max(LIMITS.lineage).default([]),
    /** False: there is no way back past the image. Whoever fails with it stays on it, and the rollout stops instead of being undone. */
    reversible: z.boolean().default(true),
    /** Every node that the plan is for, in the order in which they may go; the first `canary` are the canaries. */
    roster: z.array(nodeId).min(1).max(LIMITS.roster),
    strategy,
    /** How many go first and must all be healthy before any other. 0 with strategy `rolling`. */
    canary: counter,
    /** With strategy `waves`: how many of the roster may have gone by the end of each wave. Grows; the last is all of them. */
    waves: z.array(z.number().int().min(1)).max(LIMITS.waves).default([]),
    /** How long the nodes of a wave, or the canaries, must stay well before the next go. Milliseconds. */
    soak: counter.default(NO_GATES.soak),
    /** How long all must stay well after the last one before the rollout is done. Until then it is undone when `maxFailed` fail. Milliseconds. */
    analysis: counter.default(NO_GATES.analysis),
    /** K: the most nodes of the group that may be voluntarily down at once. */
    maxUnavailable: z.number().int().min(1).max(LIMITS.roster),
    /** At most so many of one zone; null: zones make no difference. */
    zones: zonesSchema.nullable().default(null),
    /** No node goes forward outside of these; none: at any time. Going back does not wait for them. */
    windows: z.array(windowSchema).max(LIMITS.windows).default([]),
    /** How long the new image must stay healthy before the permit is given back. Milliseconds. */
    minHealthy: counter,
    /** How long after the flip it may take to get there; then the node flips back. Milliseconds. */
    deadline: z.number().int().min(1),
    /** With no grant and no release for this long on top of `deadline`, anybody pauses the rollout. Milliseconds. */
    progressDeadline: z.number().int().min(1).default(NO_GATES.progressDeadline),
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
  .refine(
    plan => (plan.strategy === 'waves') === plan.waves.length > 0,
    'strategy waves needs waves, and no other has them',
  )
  .refine(
    plan =>
      plan.waves.every((end, at) => end > (plan.waves[at - 1] ?? 0)) &&
      (plan.waves.at(-1) ?? plan.roster.length) === plan.roster.length,
    'each wave is larger than the one before, and the last is the whole roster',
  )
  .refine(
    plan => plan.strategy !== 'at-once' || plan.maxUnavailable === plan.roster.length,
    'strategy at-once takes all nodes down at once',
  )
  .refine(
    ({ zones, roster }) =>
      zones === null || (zones.of.length === roster.length && zones.of.every(zone => zone < zones.names.length)),
    'each node of the roster needs its zone',
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
