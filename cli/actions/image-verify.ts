import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { size } from '../text.ts'

/** Damaged chunks that the sentence names; all of them are in the JSON. */
const NAMED = 3

export async function run(context: Context, ref: string, options: { repair?: true }): Promise<number> {
  const line = progressLine(context)
  const result = await context.client
    .stream(
      'POST /v1/images/:ref/verify',
      { params: { ref }, query: { repair: options.repair === true ? 'true' : 'false' } },
      ({ done, total }) =>
        line.draw(
          total === null ? `verifying: ${size(done)}` : `verifying ${bar(done / Math.max(1, total))} ${size(done)}`,
        ),
    )
    .finally(line.clear)
  const { chunks, missing, repaired } = result
  const good = result.damaged.length + missing === repaired
  const mended = repaired === 0 ? '' : `; ${repaired} that were damaged or missing came anew from peers`
  if (context.json || good) context.show(result, () => `${ref}: all ${chunks} chunks match their digests${mended}`)
  if (good) return 0
  const which = result.damaged.slice(0, NAMED).map(digest => digest.slice(0, 12))
  const damaged = which.length === 0 ? '' : ` (${which.join(', ')}${result.damaged.length > NAMED ? ', ...' : ''})`
  throw new FleetError(
    'corrupt',
    `${ref}: of ${chunks} chunks ${result.damaged.length} are damaged${damaged} and ${missing} are missing; ${options.repair === true ? `${repaired} came anew, and no member that can be reached has the rest` : `get them from other members with: fleetctl image verify --repair ${ref}`}`,
    { detail: { damaged: result.damaged, missing: result.missing } },
  )
}
