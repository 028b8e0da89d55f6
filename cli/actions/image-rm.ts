import type { Context } from '../context.ts'
import { size } from '../text.ts'

export async function run(context: Context, ref: string): Promise<undefined> {
  const result = await context.client.call('POST /v1/images/:ref/remove', { params: { ref } })
  context.show(
    result,
    () => `${result.name}:${result.version} is removed from this host; ${size(result.bytes)} came free`,
  )
  return
}
