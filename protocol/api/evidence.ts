import * as z from 'zod'
import { evidenceSchema } from '../evidence.ts'
import { counter, digest, label, nodeId, time } from '../statements/fields.ts'
import { list, nodeRef } from './fields.ts'

export const evidenceQuerySchema = z.strictObject({ node: nodeRef.optional() })
export const evidenceListSchema = z.object({
  evidence: list(
    z.object({
      digest,
      node: nodeId,
      name: label,
      layer: label,
      version: z.string().nullable(),
      at: time,
      cause: z.enum(['marked', 'failed']),
      reason: z.string(),
      bytes: counter,
      /** Who keeps it, by name. */
      holders: list(z.string()),
    }),
  ),
})
export type EvidenceList = z.infer<typeof evidenceListSchema>
/** `digest`: the beginning of one is enough where no other begins so. */
export const evidenceRef = z.strictObject({
  digest: z.string().regex(/^[0-9a-f]{4,64}$/, 'expected a digest or its beginning'),
})
export const evidenceViewSchema = z.object({ digest, evidence: evidenceSchema })
export type EvidenceView = z.infer<typeof evidenceViewSchema>
