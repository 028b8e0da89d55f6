import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { bytes, digest, nodeId, reference, repository, time } from './fields.ts'

/** What a push gives a name to. */
const pushedSchema = z.object({
  /** The SHA-256 of the OCI manifest or index, which is what registries call its digest. */
  manifest: digest,
  /** The image of kind `oci` that holds it and all that it refers to. */
  image: digest,
  /** The manifest that this one is about (its `subject`), or null. */
  subject: digest.nullable(),
})
export type Pushed = z.infer<typeof pushedSchema>

/**
 * A node took a push to its registry: from now on `repository:reference` is this. The newest by (`at`, digest of the statement) counts, so
 * that all who know the same pushes agree.
 */
export const pushSchema = z
  .object({
    /** Who took the push, with its certificate: pushes outlive the node that took them, and whoever remembers it. */
    node: nodeId,
    certificate: bytes(LIMITS.certificate),
    repository,
    /** A tag, or `sha256:` and the manifest's own digest. */
    reference,
    /** Null: the reference was deleted. */
    pushed: pushedSchema.nullable(),
    /** When, by that node's clock; later than the push that it replaces. */
    at: time,
  })
  .refine(
    ({ reference, pushed }) =>
      pushed === null || !reference.startsWith('sha256:') || reference === `sha256:${pushed.manifest}`,
    'a digest names itself',
  )
export type Push = z.infer<typeof pushSchema>
export const PUSH: StatementKind<Push> = { domain: 'fleetd/push/1', schema: pushSchema, maxBytes: LIMITS.push }
