import type { RolloutHistory } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { phaseTint } from '../follow.ts'
import { groupOr } from '../nodes.ts'
import { type Column, table } from '../table.ts'
import { stamp } from '../text.ts'

const COLUMNS: readonly Column<RolloutHistory['generations'][number]>[] = [
  { head: 'GENERATION', cell: past => String(past.generation), align: 'right' },
  { head: 'PHASE', cell: past => ({ text: past.phase, tint: phaseTint(past.phase) }) },
  { head: 'LAYER', cell: past => past.layer },
  { head: 'IMAGE', cell: past => past.image.version },
  { head: 'OK', cell: past => String(past.ok), align: 'right' },
  { head: 'FAILED', cell: past => String(past.failed), align: 'right' },
  { head: 'BEGAN', cell: past => stamp(past.since) },
  { head: 'LAST MOVED', cell: past => stamp(past.at) },
  { head: 'REASON', cell: past => past.reason },
]

export async function run(context: Context, options: { readonly group?: string }): Promise<undefined> {
  const group = await groupOr(context, options.group)
  const history = await context.client.call('GET /v1/rollouts/:group/history', { params: { group } })
  context.show(history, () =>
    history.generations.length === 0
      ? `group ${group} has had no rollout yet`
      : table(COLUMNS, history.generations, context.paint, context.width),
  )
  return
}
