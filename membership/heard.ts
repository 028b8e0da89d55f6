import { documentId, type NodeId, type NodeRecord, type Statement } from '../protocol/index.ts'
import { voids, withDismissal } from './dismissals.ts'
import { compareRecords, compareVitals, refutes, type Table } from './table.ts'
import type { Heard } from './types.ts'

/** The member that it is about; undefined for a document. */
export function subjectOf(item: Heard): NodeId | undefined {
  switch (item.kind) {
    case 'record':
    case 'vitals':
      return item.statement.body.node
    case 'suspicion':
    case 'dismissal':
      return item.statement.body.subject
    case 'document':
      return undefined
    default:
      return item satisfies never
  }
}

/** Whether it is said against an older version of this record. */
export const isOutdated = (record: Statement<NodeRecord>, heard: Heard): boolean =>
  (heard.kind === 'suspicion' &&
    heard.statement.body.subject === record.body.node &&
    refutes(record, heard.statement)) ||
  (heard.kind === 'dismissal' && heard.statement.body.subject === record.body.node && voids(record, heard.statement))

/** Whether the table would take it, so that it is worth passing on. */
export function isNews(table: Table, revoked: ReadonlySet<NodeId>, item: Heard): boolean {
  if (item.kind === 'document') return !table.documents.has(documentId(item.bytes))
  const subject = subjectOf(item)!
  const known = table.entries.get(subject)
  switch (item.kind) {
    case 'record':
      return !revoked.has(subject) && (known === undefined || compareRecords(item.statement, known.record) > 0)
    case 'vitals':
      return !revoked.has(subject) && (known?.vitals === undefined || compareVitals(item.statement, known.vitals) > 0)
    case 'suspicion':
      return (
        known !== undefined &&
        !refutes(known.record, item.statement) &&
        known.suspicions.get(item.observer)?.id !== item.statement.id
      )
    case 'dismissal':
      return (
        known !== undefined &&
        !voids(known.record, item.statement) &&
        withDismissal(known.dismissals, item.statement) !== known.dismissals
      )
    default:
      return item satisfies never
  }
}
