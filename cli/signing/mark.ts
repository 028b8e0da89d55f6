import {
  type KeptView,
  MARK_ORDER,
  type MarkOrder,
  type Millis,
  markOrderSchema,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { findNode } from '../nodes.ts'
import { stamp } from '../text.ts'
import { checked } from './checked.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'

type Request = Pick<MarkOrder, 'act' | 'layer' | 'reason'> & { readonly ttl?: number }

/** Signs an order about what a node runs and has it carried there. */
async function give(context: Context, node: string, { act, layer, reason, ttl = 0 }: Request): Promise<KeptView> {
  const member = await findNode(context, node)
  const operator = await loadKey(context)
  const authority = await readAuthority(context)
  assertOperator(authority, operator.publicKey, context.keyFile)
  const now = Date.now() as Millis
  const until = ttl === 0 ? 0 : now + ttl
  const body = checked(markOrderSchema, { node: member.id, layer, act, until, reason })
  const order = sign(MARK_ORDER, authority.fleet, now, body, [operator])
  return context.client.call('POST /v1/marks', { body: { statement: toDocument(order.bytes) } })
}

interface TaintOptions {
  readonly reason: string
  readonly layer?: string
}

export async function taint(context: Context, node: string, { reason, layer }: TaintOptions): Promise<undefined> {
  const kept = await give(context, node, { act: 'taint', layer: layer ?? null, reason })
  context.show(
    kept,
    () =>
      `${kept.name} is tainted; it is put in place afresh when its group's budget allows it, and goes first in the next rollout`,
  )
  return
}

interface HotfixOptions {
  readonly layer: string
  readonly ttl: number
  readonly reason?: string
}

/** The verbs of `hotfix` that sign something. */
export const hotfix = (act: 'hotfix' | 'extend' | 'clear') =>
  async function run(context: Context, node: string, options: HotfixOptions): Promise<undefined> {
    const { layer, ttl, reason = '' } = options
    const kept = await give(context, node, { act, layer, reason, ...(ttl === undefined ? {} : { ttl }) })
    const mark = kept.layers.find(each => each.layer === layer)?.marks.find(({ why }) => why === 'hotfix')
    context.show(kept, () =>
      act === 'clear'
        ? `the hotfix of ${kept.name} is over; its clean image takes its place when the group's budget allows it`
        : `layer ${layer} of ${kept.name} is open for changes until ${stamp(mark?.due ?? 0)}; then its clean image takes its place`,
    )
    return
  }
