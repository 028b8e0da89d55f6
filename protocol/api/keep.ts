import * as z from 'zod'
import { FleetError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { check } from '../schema.ts'
import { counter, digest, label, nodeId, time } from '../statements/fields.ts'
import { list, nodeRef } from './fields.ts'

const text = z.string().max(2048)

export const markSchema = z.object({
  why: z.enum(['manual', 'drift', 'hotfix', 'age']),
  reason: text,
  by: text,
  at: time,
  /** When the slot is to be replaced for it. */
  due: time,
})
export type MarkView = z.infer<typeof markSchema>

/** What one layer of a node runs, and how that compares with its image. */
export const keptLayerSchema = z.object({
  layer: label,
  image: digest.nullable(),
  version: z.string().max(512).nullable(),
  /** When the slot became current; null where that is not known. */
  since: time.nullable(),
  /** When it has outlived its image; null where its layer has no maximum age. */
  until: time.nullable(),
  marks: list(markSchema),
  /** The last comparison with its image; null before the first. */
  compared: z
    .object({
      at: time,
      files: counter,
      bytes: counter,
      /** The first differences, and how many there are. */
      differences: z.array(z.object({ path: z.string().max(4096), what: z.string().max(32) })).max(64),
      total: counter,
      /** Why it could not be compared; null when it was. */
      error: text.nullable(),
    })
    .nullable(),
})
export type KeptLayer = z.infer<typeof keptLayerSchema>
export const keptSchema = z.object({ layers: z.array(keptLayerSchema).max(LIMITS.layers) })
export type Kept = z.infer<typeof keptSchema>

export const keptViewSchema = keptSchema.extend({ node: nodeId, name: z.string() })
export type KeptView = z.infer<typeof keptViewSchema>
export const keptQuerySchema = z.strictObject({ node: nodeRef.optional() })
export const scanSchema = z.strictObject({ node: nodeRef.optional() })

export const hotfixesSchema = z.object({
  hotfixes: list(z.object({ node: nodeId, name: z.string(), layer: label, mark: markSchema })),
  /** Members that have one and did not answer. */
  silent: list(z.object({ node: nodeId, name: z.string() })),
})
export type Hotfixes = z.infer<typeof hotfixesSchema>

const ran = { digest: digest.nullable(), version: z.string().nullable() }
/** What members run beside what their groups' ledgers want. */
export const divergenceSchema = z.object({
  layers: list(
    z.object({
      group: label,
      layer: label,
      wanted: z.object({ digest, version: z.string().nullable() }).nullable(),
      running: list(z.object({ ...ran, nodes: counter })),
      stragglers: list(
        z.object({
          node: nodeId,
          name: z.string(),
          ...ran,
          /** Since when it should run something else; null where the ledger does not remember. */
          since: time.nullable(),
          reason: z.string(),
        }),
      ),
    }),
  ),
  /** Groups whose ledger could not be read, and nothing is known of. */
  unknown: list(label),
})
export type Divergence = z.infer<typeof divergenceSchema>

/** What a node says of what it runs. Throws `corrupt`. */
export function keptOf(value: unknown): Kept {
  const found = check(keptSchema, value)
  if (!found.success) throw new FleetError('corrupt', 'not a report of what a node runs')
  return found.data
}
