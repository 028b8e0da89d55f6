import * as z from 'zod'
import type { Digest } from '../ids.ts'
import { sha256 } from '../keys.ts'
import { check } from '../schema.ts'
import { counter, digest, reason, recordOf, time } from '../statements/fields.ts'

/** What an audit log tells of. A log may hold kinds that this version does not know, written by a newer one. */
export const AUDIT_KINDS = [
  // plans and orders
  'plan-accepted',
  'plan-refused',
  'order-accepted',
  'order-refused',
  'rollout-phase',
  // this node's own replacement
  'permit-taken',
  'permit-returned',
  'staged',
  'activated',
  'healthy',
  'rolled-back',
  // operators
  'policy',
  'policy-refused',
  'revocation',
  'revocation-refused',
  'recovery',
  'recovery-refused',
  'force-leave',
  // what keeps immutable honest
  'taint',
  'drift',
  'hotfix',
  'evidence',
  // images
  'image-added',
  'image-removed',
  // the log itself
  'started',
  'log-torn',
  'log-damaged',
  'log-trimmed',
  'log-overflow',
  'log-conflict',
] as const
export type AuditKind = (typeof AUDIT_KINDS)[number]

/** One entry of a node's audit log. */
export const auditEntrySchema = z.object({
  /** Counts the entries of this node, from 1, over all its starts. */
  seq: counter.min(1),
  /** The node's wall clock when it wrote it. */
  at: time,
  kind: z.string().regex(/^[a-z][a-z-]{0,31}$/, 'expected the kind of an entry'),
  /** What it is about: a group, a layer, a node, an image. */
  subject: z.string().max(256),
  /** Who did it: the operator keys that signed it, `fleetctl` on this host, or nobody when the node itself did. */
  by: z.string().max(512),
  /** One sentence. */
  text: reason,
  /** Particulars by which entries belong together: `plan`, `generation`, `token`, `image`, `layer`. */
  detail: recordOf(z.string().max(32), z.string().max(512), 16),
  /** The hash of the entry before; of the first, `auditGenesis`. */
  previous: digest,
})
export type AuditEntry = z.infer<typeof auditEntrySchema>

/** What is to be written down; the log adds where it stands. */
export type AuditWhat = Pick<AuditEntry, 'subject' | 'by' | 'text' | 'detail'> & { readonly kind: AuditKind }

/** An entry as it is stored, passed on and exported, without the line's end: its SHA-256 in hex, a space, and the JSON that was hashed. */
export function sealEntry(entry: AuditEntry): { readonly line: string; readonly hash: Digest } {
  const json = JSON.stringify(entry)
  const hash = sha256(Buffer.from(json))
  return { line: `${hash} ${json}`, hash }
}

/** The longest line that is looked at, in bytes: every field at its longest, each character escaped. */
export const MAX_AUDIT_LINE = 128 * 1024

/** What a line says, and what its content hashes to. */
export interface ReadLine {
  /** Undefined where the line is not what was written. */
  readonly entry: AuditEntry | undefined
  /** The hash that the line states; undefined where there is none to read. */
  readonly stated: Digest | undefined
  /** The hash of what stands behind it. */
  readonly actual: Digest
  /** How many entries begin in it: two where the line's end between them was changed. */
  readonly begun: number
}

/** Reads a line of a log from anywhere. Never throws. */
export function readLine(line: string): ReadLine {
  const stated = /^([0-9a-f]{64}) /.exec(line)?.[1] as Digest | undefined
  const json = line.slice(65)
  const actual = sha256(Buffer.from(json))
  // Within a text the quotes would be escaped.
  const begun = line.split('{"seq":').length - 1
  if (stated !== actual || line.length > MAX_AUDIT_LINE) return { entry: undefined, stated, actual, begun }
  try {
    const parsed = check(auditEntrySchema, JSON.parse(json))
    return { entry: parsed.success ? parsed.data : undefined, stated, actual, begun }
  } catch {
    return { entry: undefined, stated, actual, begun }
  }
}
