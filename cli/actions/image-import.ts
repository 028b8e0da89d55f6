import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { plural, size } from '../text.ts'

export async function run(context: Context, path: string): Promise<undefined> {
  const line = progressLine(context)
  const result = await context.client
    .stream('POST /v1/images/import', { body: { path: resolve(path) } }, ({ done, total }) =>
      line.draw(`importing ${bar(done / Math.max(1, total ?? 0))} ${size(done)} of ${size(total ?? 0)}`),
    )
    .finally(line.clear)
  const { name, version, newChunks, chunks, policies, plans } = result
  context.show(result, () =>
    [
      `${name}:${version} is here and verified: ${size(result.size)} in ${plural(chunks, 'chunk')}, ${newChunks} of them new`,
      ...(policies > 0 ? [`the fleet's policy is newer by ${plural(policies, 'version')} than it was here`] : []),
      ...plans.map(
        ({ group, generation, started, reason }) =>
          `generation ${generation} of group ${group} ${started ? 'has begun' : `was not begun: ${reason}`}`,
      ),
    ].join('\n'),
  )
  return
}
