import type { Context } from '../context.ts'
import { findNode } from '../nodes.ts'
import { plain } from '../text.ts'

export async function run(context: Context, node: string, options: { readonly group?: string }): Promise<undefined> {
  const member = await findNode(context, node)
  const explanation = await context.client.call('GET /v1/rollouts/:group/explain/:node', {
    params: { group: options.group ?? member.group, node: member.id },
  })
  context.show(explanation, () => plain(`${member.name}: ${explanation.reason}`))
  return
}
