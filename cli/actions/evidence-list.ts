import type { EvidenceList } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'
import { short, stamp } from '../text.ts'

const COLUMNS: readonly Column<EvidenceList['evidence'][number]>[] = [
  { head: 'EVIDENCE', cell: ({ digest }) => short(digest) },
  { head: 'NODE', cell: ({ name }) => name },
  { head: 'LAYER', cell: ({ layer }) => layer },
  { head: 'IMAGE', cell: ({ version }) => version ?? '' },
  { head: 'TIME', cell: ({ at }) => stamp(at) },
  { head: 'CAUSE', cell: ({ cause }) => cause },
  { head: 'KEPT BY', cell: ({ holders }) => holders.join(' ') },
  { head: 'REASON', cell: ({ reason }) => reason },
]

export async function run(context: Context, node: string | undefined): Promise<undefined> {
  const list = await context.client.call('GET /v1/evidence', { query: { node } })
  context.show(list, () =>
    list.evidence.length === 0 ? 'no evidence is kept' : table(COLUMNS, list.evidence, context.paint, context.width),
  )
  return
}
