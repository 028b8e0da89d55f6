import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { label, nodeId, reason, time } from './fields.ts'

/**
 * An operator's word on what a node runs. `taint`: it is not to be trusted any more, and is to be put in place afresh. `hotfix`: its slot is opened
 * for changes by hand until a time, and is put in place afresh then; `extend`: until a later time; `clear`: now. Good once, and for a few minutes
 * after it was signed, so that nobody can say it again later.
 */
export const markOrderSchema = z.object({
  node: nodeId,
  /** Null: every layer of the node; for `taint` alone. */
  layer: label.nullable(),
  act: z.enum(['taint', 'hotfix', 'extend', 'clear']),
  /** For `hotfix` and `extend`: when its time is over. */
  until: time,
  reason,
})
export type MarkOrder = z.infer<typeof markOrderSchema>
export const MARK_ORDER: StatementKind<MarkOrder> = {
  domain: 'fleetd/mark/1',
  schema: markOrderSchema,
  maxBytes: LIMITS.order,
}
