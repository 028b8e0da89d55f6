import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import { PHASES } from '../phase.ts'
import { counter, digest, label, nodeId, time } from '../statements/fields.ts'
import { recoverySchema } from '../statements/recovery.ts'
import { imageRef, list } from './fields.ts'

const phase = z.enum(PHASES)

const version = z.string().max(2 * LIMITS.name)

export const permitSchema = z.object({
  token: counter,
  node: nodeId,
  name: z.string(),
  kind: z.string(),
  since: time,
})
export type PermitView = z.infer<typeof permitSchema>

export const waveSchema = z.object({
  nodes: counter,
  ok: counter,
  failed: counter,
  state: z.enum(['waiting', 'going', 'soaking', 'over']),
  /** While it soaks: until when. */
  until: time.nullable(),
})
export type WaveView = z.infer<typeof waveSchema>

export const rolloutStatusSchema = z.object({
  group: label,
  generation: counter,
  phase,
  image: z.object({ digest, version }).nullable(),
  /** The image that the layer is meant to run by the last generation that was done. */
  target: digest.nullable(),
  /** Nodes in the roster, and how many of them are on the image, failed, or have not gone yet. */
  total: counter,
  ok: counter,
  failed: counter,
  pending: counter,
  permits: list(permitSchema),
  /** The canaries and the rest, or the waves, in order; none where all may go at once. */
  waves: list(waveSchema),
  /** Why it is in this phase. */
  reason: z.string(),
})
export type RolloutStatusView = z.infer<typeof rolloutStatusSchema>
export const rolloutsSchema = z.object({ rollouts: list(rolloutStatusSchema) })
export type RolloutList = z.infer<typeof rolloutsSchema>

/** A group's generations, newest first. */
export const historySchema = z.object({
  group: label,
  generations: list(
    z.object({
      generation: counter,
      plan: digest,
      layer: label,
      image: z.object({ digest, version }),
      since: time,
      phase,
      reason: z.string(),
      ok: counter,
      failed: counter,
      /** The last grant, release or change of phase. */
      at: time,
    }),
  ),
})
export type RolloutHistory = z.infer<typeof historySchema>

/** What a plan would be, if it were signed now. */
export const draftSchema = z.object({
  group: label,
  layer: label,
  image: z.object({ digest, version, reversible: z.boolean() }),
  /** The number that the plan must have. */
  generation: counter,
  /** What the layer goes back to when the plan is undone. */
  previous: digest.nullable(),
  /** Where the newest generation stands: while it is under way, no other starts. */
  phase,
  /** Images that failed in this group before. */
  denied: list(digest),
  /** What the layer has run in this group, oldest first, and what of it may not be skipped. `reversible` null: what it says of itself is not known here. */
  lineage: list(
    z.object({ image: digest, version: z.string(), barrier: z.boolean(), reversible: z.boolean().nullable() }),
  ),
  /** Nodes of the roster whose other layers are not what the image requires: they wait until they are. */
  lacking: list(z.object({ node: nodeId, name: label, layer: label, requires: digest, runs: digest.nullable() })),
  roster: list(
    z.object({
      node: nodeId,
      name: label,
      zone: label,
      /** Why what it runs is not to be trusted: such nodes go first. */
      taint: list(z.string()),
      /** What it runs now. */
      digest: digest.nullable(),
      version: version.nullable(),
    }),
  ),
  /** Members of the group that the plan leaves out, and why. */
  excluded: list(z.object({ node: nodeId, name: label, reason: z.string() })),
  /** Members of the group that are down, and so count against the budget. */
  down: list(z.object({ node: nodeId, name: label })),
})
export type RolloutDraft = z.infer<typeof draftSchema>

const pattern = z.string().refine(text => {
  const at = text.indexOf('=')
  if (at < 1) return false
  try {
    new RegExp(text.slice(at + 1))
    return true
  } catch {
    return false
  }
}, 'expected TAG=REGULAR-EXPRESSION')

/** `select` may be given several times: every one must match. */
export const draftQuerySchema = z.strictObject({
  layer: label,
  image: imageRef,
  select: z
    .union([pattern, z.array(pattern).max(LIMITS.tags)])
    .default([])
    .transform(
      given =>
        Object.fromEntries(
          [given].flat().map(text => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
        ) as Readonly<Record<string, string>>,
    ),
})

export const explanationSchema = z.object({ node: nodeId, name: z.string(), group: label, reason: z.string() })
export type Explanation = z.infer<typeof explanationSchema>

const nodeAndName = z.object({ node: nodeId, name: z.string() })

/** A group's ledger, as its voters hold it. */
export const ledgerSchema = z.object({
  group: label,
  /** Counts the writes since the group began. */
  version: counter,
  /** Which set of voters this is. */
  epoch: counter,
  voters: list(nodeAndName),
  generation: counter,
  plan: digest.nullable(),
  phase,
  reason: z.string(),
  nextToken: counter,
  permits: list(permitSchema),
  /** What each layer of the group is meant to run. */
  targets: z.record(z.string(), digest),
  denied: list(digest),
  /** Nodes that were written off. */
  fenced: list(nodeId),
  /** The last grant, release or change of phase. */
  progressAt: time,
})
export type LedgerView = z.infer<typeof ledgerSchema>

/** What an operator may sign, since a majority of a ledger's voters does not answer: `lost` are those that do not, `silent` says why. */
export const recoveryDraftSchema = z.object({
  recovery: recoverySchema,
  silent: list(z.object({ node: nodeId, reason: z.string() })),
})
export type RecoveryDraft = z.infer<typeof recoveryDraftSchema>
