import * as z from 'zod'
import { FleetError } from './errors.ts'
import type { Digest } from './ids.ts'
import { sha256 } from './keys.ts'
import { LIMITS } from './limits.ts'
import { check } from './schema.ts'
import { counter, digest, label, nodeId, time } from './statements/fields.ts'

const text = z.string().max(2048)

/** What was there before it was given up: why a slot was replaced, and what can be known of it afterwards. */
export const evidenceSchema = z.object({
  format: z.literal('fleetd/evidence/1'),
  node: nodeId,
  name: label,
  layer: label,
  image: digest,
  version: z.string().max(512).nullable(),
  slot: z.string().max(8),
  at: time,
  /** `marked`: the slot is put in place afresh. `failed`: its image was not well, and the one before takes its place. */
  cause: z.enum(['marked', 'failed']),
  reason: text,
  program: z.object({ state: z.string().max(32), reason: text }),
  health: z.object({ health: z.string().max(32), reason: text }),
  /** The end of what the program wrote. */
  log: z.string().max(64 * 1024),
  /** How the slot differs from its image; null where it was not compared. `content`: what a changed or added file holds, in base64, where it is small. */
  drift: z
    .object({
      total: counter,
      differences: z
        .array(
          z.object({
            path: z.string().max(4096),
            what: z.string().max(32),
            content: z
              .string()
              .max(32 * 1024)
              .optional(),
          }),
        )
        .max(64),
    })
    .nullable(),
})
export type Evidence = z.infer<typeof evidenceSchema>

/** A bundle as it is kept: JSON, named by its SHA-256. */
export function encodeEvidence(evidence: Evidence): { readonly digest: Digest; readonly bytes: Uint8Array } {
  const bytes = Buffer.from(JSON.stringify(evidence))
  return { digest: sha256(bytes), bytes }
}

/** Throws `too-large` or `corrupt` on what is no bundle. */
export function openEvidence(bytes: Uint8Array): Evidence {
  if (bytes.byteLength > LIMITS.evidence)
    throw new FleetError('too-large', `evidence of ${bytes.byteLength} bytes is over the limit of ${LIMITS.evidence}`)
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString())
  } catch {
    value = undefined
  }
  const found = check(evidenceSchema, value)
  if (!found.success) throw new FleetError('corrupt', 'not a bundle of evidence')
  return found.data
}
