import type { Context } from '../context.ts'
import { draw, follow, oneLine } from '../follow.ts'
import { groupOr } from '../nodes.ts'

interface Options {
  readonly group?: string
  readonly watch?: true
}

export async function run(context: Context, options: Options): Promise<number> {
  const group = await groupOr(context, options.group)
  if (options.watch === true) return follow(context, { group, generation: undefined, untilPaused: false })
  const status = await context.client.call('GET /v1/rollouts/:group', { params: { group } })
  context.show(status, () => {
    if (status.phase === 'idle') return `group ${group} has had no rollout yet`
    return context.live ? draw(status, context).join('\n') : oneLine(status)
  })
  return 0
}
