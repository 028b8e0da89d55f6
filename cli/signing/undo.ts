import { FleetError } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { oneLine } from '../follow.ts'
import { groupOr } from '../nodes.ts'
import { giveOrder } from './rollout-order.ts'
import { run as start } from './rollout-start.ts'

interface Options {
  readonly group?: string
  readonly reason?: string
  readonly to?: number
  readonly detach?: true
}

/**
 * Takes the newest generation back, by an order; or, with `--to`, brings the group to what an earlier generation brought it to, by a plan of its
 * own that has no canary. Both keep the budget.
 */
export async function run(context: Context, options: Options): Promise<number | undefined> {
  const group = await groupOr(context, options.group)
  if (options.to !== undefined) return backTo(context, group, options.to, options)
  const status = await giveOrder(context, { group, verb: 'undo', reason: options.reason ?? '' })
  context.show(status, () => oneLine(status))
  context.hint(`Follow it with: fleetctl rollout status --group ${group} --watch`)
  return
}

async function backTo(context: Context, group: string, to: number, { reason, detach }: Options): Promise<number> {
  const { generations } = await context.client.call('GET /v1/rollouts/:group/history', { params: { group } })
  const target = generations.find(past => past.generation === to)
  if (target === undefined)
    throw new FleetError(
      'not-found',
      `group ${group} remembers no generation ${to}; see: fleetctl rollout history --group ${group}`,
    )
  if (target.phase !== 'done')
    throw new FleetError('refused', `generation ${to} is ${target.phase}: it never was what group ${group} ran`)
  return start(context, {
    layer: target.layer,
    image: target.image.digest,
    group,
    strategy: 'rolling',
    reason: reason ?? `back to generation ${to}`,
    ...(detach === undefined ? {} : { detach }),
  })
}
