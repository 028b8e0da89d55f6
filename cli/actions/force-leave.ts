import type { Context } from '../context.ts'
import { plain } from '../text.ts'

export async function run(context: Context, node: string, { prune = false }: { prune?: boolean }): Promise<undefined> {
  await context.client.call('POST /v1/force-leave', { body: { node, prune } })
  context.show({ node, prune }, () =>
    plain(
      prune ? `${node} is listed no more; it comes back by itself if it lives` : `${node} counts as left from now on`,
    ),
  )
  return
}
