import type { RolloutStatusView } from '../../protocol/api/index.ts'
import {
  FleetError,
  type Millis,
  type NodeId,
  ORDER,
  type Order,
  orderSchema,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { oneLine } from '../follow.ts'
import { groupOr } from '../nodes.ts'
import { checked } from './checked.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'

interface Options {
  readonly group?: string
  readonly reason?: string
}

/** The command that gives one order about the newest generation of a group. */
export const orders =
  (verb: Exclude<Order['verb'], 'write-off'>) =>
  async (context: Context, options: Options): Promise<undefined> => {
    const group = await groupOr(context, options.group)
    const status = await giveOrder(context, { group, verb, reason: options.reason ?? '' })
    context.show(status, () => oneLine(status))
    if (verb === 'undo' || verb === 'resume' || verb === 'promote')
      context.hint(`Follow it with: fleetctl rollout status --group ${group} --watch`)
    return
  }

/** Signs an order about the group's newest generation and submits it. */
export async function giveOrder(
  context: Context,
  order: { group: string; verb: Order['verb']; reason: string; node?: NodeId },
): Promise<RolloutStatusView> {
  const { client } = context
  const operator = await loadKey(context)
  const [authority, { generation }] = await Promise.all([
    readAuthority(context),
    client.call('GET /v1/rollouts/:group', { params: { group: order.group } }),
  ])
  assertOperator(authority, operator.publicKey, context.keyFile)
  if (generation === 0) throw new FleetError('conflict', `group ${order.group} has had no rollout yet`)
  const body = checked(orderSchema, { ...order, generation })
  const signed = sign(ORDER, authority.fleet, Date.now() as Millis, body, [operator])
  return client.call('POST /v1/orders', { body: { statement: toDocument(signed.bytes) } })
}
