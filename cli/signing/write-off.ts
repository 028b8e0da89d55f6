import type { Context } from '../context.ts'
import { oneLine } from '../follow.ts'
import { findSubject } from './gone.ts'
import { giveOrder } from './rollout-order.ts'

export async function run(context: Context, node: string, { reason }: { readonly reason: string }): Promise<undefined> {
  const member = await findSubject(context, node)
  const status = await giveOrder(context, { group: member.group, verb: 'write-off', node: member.id, reason })
  context.show(status, () => `${member.name} is written off; ${oneLine(status)}`)
  return
}
