import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { counter, digest, nodeId } from '../statements/fields.ts'

/**
 * A node's word on its own audit log: its entry `seq` has this hash, and by the chain so has all before it. Others keep it, so that a log
 * that was rewritten later does not fit it any more.
 */
export const auditHeadSchema = z.object({
  node: nodeId,
  /** Which start of the node this was: in later starts a log only grows. */
  epoch: counter,
  seq: counter.min(1),
  hash: digest,
})
export type AuditHead = z.infer<typeof auditHeadSchema>
export const AUDIT_HEAD: StatementKind<AuditHead> = {
  domain: 'fleetd/audit-head/1',
  schema: auditHeadSchema,
  maxBytes: LIMITS.auditHead,
}
