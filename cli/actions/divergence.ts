import type { Divergence } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { plain, plural, span } from '../text.ts'

/** Exit 1 where a node runs something else than it should, or a group's ledger could not be read. */
export async function run(context: Context): Promise<number> {
  const found = await context.client.call('GET /v1/divergence')
  context.show(found, () => [...found.layers.flatMap(linesOf), ...found.unknown.map(unread)].map(plain).join('\n'))
  return found.unknown.length === 0 && found.layers.every(({ stragglers }) => stragglers.length === 0) ? 0 : 1
}

const named = (version: string | null, digest: string | null): string => version ?? digest?.slice(0, 12) ?? 'nothing'
const unread = (group: string): string => `group ${group}: its ledger could not be read`

function linesOf({ group, layer, wanted, running, stragglers }: Divergence['layers'][number]): string[] {
  const run = running.map(each => `${plural(each.nodes, 'node')} ${named(each.version, each.digest)}`).join(', ')
  const should = wanted === null ? 'nothing is wanted yet' : `wanted ${named(wanted.version, wanted.digest)}`
  return [
    `group ${group}, layer ${layer}: ${should}; running: ${run || 'nowhere'}`,
    ...stragglers.map(
      ({ name, version, digest, since, reason }) =>
        `  ${name} runs ${named(version, digest)}${since === null ? '' : ` for ${span(Math.max(0, Date.now() - since))} since it should not`}: ${reason}`,
    ),
  ]
}
