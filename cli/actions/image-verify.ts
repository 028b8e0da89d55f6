import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { size } from '../text.ts'

/** Damaged chunks that the sentence names; all of them are in the JSON. */
const NAMED = 3

export async function run(context: Context, ref: string): Promise<number> {
  const line = progressLine(context)
  const result = await context.client
    .stream('POST /v1/images/:ref/verify', { params: { ref } }, ({ done, total }) =>
      line.draw(
        total === null ? `verifying: ${size(done)}` : `verifying ${bar(done / Math.max(1, total))} ${size(done)}`,
      ),
    )
    .finally(line.clear)
  const good = result.damaged.length === 0 && result.missing === 0
  if (context.json || good) context.show(result, () => `${ref}: all ${result.chunks} chunks match their digests`)
  if (good) return 0
  const which = result.damaged.slice(0, NAMED).map(digest => digest.slice(0, 12))
  const damaged = which.length === 0 ? '' : ` (${which.join(', ')}${result.damaged.length > NAMED ? ', ...' : ''})`
  throw new FleetError(
    'corrupt',
    `${ref}: of ${result.chunks} chunks ${result.damaged.length} are damaged${damaged} and ${result.missing} are missing; get them again with: fleetctl image fetch ${ref}`,
    { detail: { damaged: result.damaged, missing: result.missing } },
  )
}
