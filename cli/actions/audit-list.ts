import type { AuditEntryView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'
import { short, stamp } from '../text.ts'

interface Options {
  readonly since?: string
  readonly limit?: number
  readonly kind?: string
}

/** Keys that signed something, told apart by their first digits. */
export const by = (text: string): string => text.replaceAll(/\b[0-9a-f]{64}\b/g, short)

const COLUMNS: readonly Column<AuditEntryView>[] = [
  { head: 'ENTRY', cell: entry => String(entry.seq), align: 'right' },
  { head: 'TIME', cell: entry => stamp(entry.at) },
  { head: 'KIND', cell: entry => entry.kind },
  { head: 'ABOUT', cell: entry => entry.subject },
  { head: 'BY', cell: entry => by(entry.by) },
  { head: 'WHAT', cell: entry => entry.text },
]

export async function run(context: Context, node: string | undefined, options: Options): Promise<undefined> {
  const { since, limit, kind } = options
  const list = await context.client.call('GET /v1/audit', {
    query: { node, since, kind, limit: limit === undefined ? undefined : String(limit) },
  })
  context.show(list, () =>
    list.entries.length === 0
      ? `no such entry in the audit log of ${list.name}`
      : table(COLUMNS, list.entries, context.paint, context.width),
  )
  return
}
