import type { Hotfixes } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'
import { stamp } from '../text.ts'
import { by } from './audit-list.ts'

const COLUMNS: readonly Column<Hotfixes['hotfixes'][number]>[] = [
  { head: 'NODE', cell: ({ name }) => name },
  { head: 'LAYER', cell: ({ layer }) => layer },
  { head: 'SINCE', cell: ({ mark }) => stamp(mark.at) },
  { head: 'UNTIL', cell: ({ mark }) => stamp(mark.due) },
  { head: 'BY', cell: ({ mark }) => by(mark.by) },
  { head: 'REASON', cell: ({ mark }) => mark.reason },
]

export async function run(context: Context): Promise<undefined> {
  const found = await context.client.call('GET /v1/hotfixes')
  context.show(found, () =>
    [
      found.hotfixes.length === 0
        ? 'no node has a hotfix'
        : table(COLUMNS, found.hotfixes, context.paint, context.width),
      ...found.silent.map(({ name }) => `${name} has one and does not answer`),
    ].join('\n'),
  )
  return
}
