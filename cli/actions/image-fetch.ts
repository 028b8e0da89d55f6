import type { FetchProgress } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { bar, progressLine } from '../progress.ts'
import { plural, size } from '../text.ts'

export async function run(context: Context, ref: string): Promise<undefined> {
  const line = progressLine(context)
  const began = performance.now()
  const result = await context.client
    .stream('POST /v1/images/:ref/fetch', { params: { ref } }, progress => {
      if (context.json) context.emit(progress)
      else line.draw(render(progress))
    })
    .finally(line.clear)
  const seconds = (performance.now() - began) / 1000
  context.show(
    result,
    () =>
      `${ref}: ${size(result.total)} here and verified, ${size(result.reused)} of it reused, ${seconds.toFixed(1)} s`,
  )
  return
}

function render({ done, total, rate, etaSeconds, peers }: FetchProgress): string {
  const eta = etaSeconds === null ? '' : `, ${Math.ceil(etaSeconds)} s to go`
  return `${bar(done / Math.max(1, total))} ${size(done)} of ${size(total)}, ${size(rate)}/s from ${plural(peers, 'peer')}${eta}`
}
