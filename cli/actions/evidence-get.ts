import type { Context } from '../context.ts'
import { fields } from '../table.ts'
import { plain, stamp } from '../text.ts'

export async function run(context: Context, digest: string): Promise<undefined> {
  const found = await context.client.call('GET /v1/evidence/:digest', { params: { digest } })
  const { evidence } = found
  context.show(found, () =>
    [
      fields(
        [
          ['evidence', found.digest],
          ['node', `${evidence.name} (${evidence.node})`],
          ['layer', `${evidence.layer}, slot ${evidence.slot}`],
          ['image', `${evidence.version ?? ''} ${evidence.image.slice(0, 12)}`],
          ['time', stamp(evidence.at)],
          ['cause', `${evidence.cause}: ${evidence.reason}`],
          ['program', `${evidence.program.state}: ${evidence.program.reason}`],
          ['health', `${evidence.health.health}: ${evidence.health.reason}`],
          ['differs in', evidence.drift === null ? 'not compared' : String(evidence.drift.total)],
        ],
        context.paint,
        context.width,
      ),
      ...(evidence.drift?.differences ?? []).map(({ path, what, content }) =>
        plain(`  ${what.padEnd(10)} ${path}${content === undefined ? '' : ' (content: --format json)'}`),
      ),
      context.paint('bold', 'last output'),
      ...evidence.log.split('\n').map(plain),
    ].join('\n'),
  )
  return
}
