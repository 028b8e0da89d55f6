import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { bytes, counter, label } from './fields.ts'

/**
 * A node tells the others what a group's ledger said when it last read or wrote it. Evidence, for status and to wake those
 * that wait: it never grants, because what it says may be old.
 */
export const noticeSchema = z.object({
  group: label,
  /** Orders notices of one group: epoch first, then version. */
  epoch: counter,
  version: counter,
  /** The encoded ledger value. */
  value: bytes(LIMITS.ledgerValue),
})
export type Notice = z.infer<typeof noticeSchema>
export const NOTICE: StatementKind<Notice> = {
  domain: 'fleetd/notice/1',
  schema: noticeSchema,
  maxBytes: LIMITS.ledgerValue + 1024,
}
