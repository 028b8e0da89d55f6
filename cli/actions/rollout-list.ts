import type { RolloutStatusView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { phaseTint } from '../follow.ts'
import { type Column, table } from '../table.ts'

const COLUMNS: readonly Column<RolloutStatusView>[] = [
  { head: 'GROUP', cell: status => status.group },
  { head: 'GENERATION', cell: status => String(status.generation), align: 'right' },
  { head: 'PHASE', cell: status => ({ text: status.phase, tint: phaseTint(status.phase) }) },
  { head: 'IMAGE', cell: status => status.image?.version ?? '' },
  { head: 'OK', cell: status => `${status.ok}/${status.total}`, align: 'right' },
  { head: 'FAILED', cell: status => String(status.failed), align: 'right' },
  { head: 'DOWN', cell: status => status.permits.map(permit => permit.name).join(' ') },
  { head: 'REASON', cell: status => status.reason },
]

export async function run(context: Context): Promise<undefined> {
  const answer = await context.client.call('GET /v1/rollouts')
  context.show(answer, () =>
    answer.rollouts.length === 0
      ? 'no rollouts yet; start one with: fleetctl rollout start --layer LAYER --image IMAGE'
      : table(COLUMNS, answer.rollouts, context.paint, context.width),
  )
  return
}
