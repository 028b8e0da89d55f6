import type { Context } from '../context.ts'
import { groupOr } from '../nodes.ts'
import { fields } from '../table.ts'
import { short, stamp } from '../text.ts'

export async function run(context: Context, group: string | undefined): Promise<undefined> {
  const params = { group: await groupOr(context, group) }
  const ledger = await context.client.call('GET /v1/ledger/:group', { params })
  const { permits, voters } = ledger
  context.show(ledger, () =>
    fields(
      [
        ['group', ledger.group],
        ['voters', `${voters.map(voter => voter.name).join(', ')} (epoch ${ledger.epoch})`],
        ['phase', `${ledger.phase}${ledger.reason === '' ? '' : `: ${ledger.reason}`}`],
        ['generation', `${ledger.generation}${ledger.plan === null ? '' : `, plan ${short(ledger.plan)}`}`],
        ['permits', permits.length === 0 ? 'none' : `${permits.length} held`],
        ...permits.map(
          permit => [`  ${permit.token}`, `${permit.name}, ${permit.kind}, since ${stamp(permit.since)}`] as const,
        ),
        ['next token', String(ledger.nextToken)],
        ...Object.entries(ledger.targets).map(([layer, digest]) => [`target ${layer}`, short(digest)] as const),
        ['denied', ledger.denied.map(short).join(' ') || 'none'],
        ['written off', ledger.fenced.join(' ') || 'nobody'],
        ['writes', `${ledger.version}, the last at ${stamp(ledger.progressAt)}`],
      ],
      context.paint,
      context.width,
    ),
  )
  return
}
