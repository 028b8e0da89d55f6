import * as z from 'zod'
import { auditEntrySchema } from '../audit/entry.ts'
import { counter, digest, label, nodeId } from '../statements/fields.ts'
import { fleetId, list, nodeRef } from './fields.ts'

const number = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a whole number')
  .transform(Number)

/** `node`: whose log; this daemon's own unless given. The newest `limit` entries, or with `since` the first behind that one. */
export const auditQuerySchema = z.strictObject({
  node: nodeRef.optional(),
  since: number.optional(),
  limit: number.pipe(z.number().int().min(1).max(1000)).optional(),
  kind: z
    .string()
    .regex(/^[a-z][a-z-]{0,31}$/)
    .optional(),
})

export const auditEntryView = auditEntrySchema.extend({ hash: digest })
export type AuditEntryView = z.infer<typeof auditEntryView>
export const auditListSchema = z.object({ node: nodeId, name: z.string(), entries: list(auditEntryView) })
export type AuditList = z.infer<typeof auditListSchema>

export const auditVerifyQuerySchema = z.strictObject({ node: nodeRef.optional() })
export const auditVerifiedSchema = z.object({
  logs: list(
    z.object({
      node: nodeId,
      name: z.string(),
      /** The oldest and the newest entry that is there, and how many are whole. */
      first: counter,
      last: counter,
      entries: counter,
      /** Heads that the node signed and that its log was compared with, and how many members keep any. */
      heads: counter,
      witnesses: counter,
      problems: list(z.object({ entry: counter, problem: z.string() })),
      /** Why the log could not be read to its end; null when it could. */
      error: z.string().nullable(),
    }),
  ),
})
export type AuditVerified = z.infer<typeof auditVerifiedSchema>

/** `entry` and `line`: the `next` of the page before. */
export const auditExportQuerySchema = z.strictObject({
  node: nodeRef.optional(),
  entry: number.optional(),
  line: number.optional(),
})
/** A part of a log as its node wrote it. */
export const auditPageSchema = z.object({
  node: nodeId,
  name: z.string(),
  fleet: fleetId,
  lines: list(z.string()),
  next: z.object({ entry: counter, line: counter }).nullable(),
  /** Heads that the node signed, in base64url; on the first page alone. */
  heads: list(z.string()),
})
export type AuditPage = z.infer<typeof auditPageSchema>

/** What led to what a node runs and to what marks it: the effect first. */
export const whySchema = z.object({
  node: nodeId,
  name: z.string(),
  causes: list(z.object({ layer: label.nullable(), steps: list(auditEntrySchema) })),
})
export type Why = z.infer<typeof whySchema>
