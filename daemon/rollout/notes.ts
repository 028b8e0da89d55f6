import {
  type AuditKind,
  type Digest,
  type ErrorCode,
  idOf,
  type Order,
  type Plan,
  type Statement,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import type { LedgerValue } from '../../rollout/index.ts'

/** Writes an entry of the audit log (daemon/audit). */
export type Noting = (note: {
  readonly kind: AuditKind
  readonly subject: string
  readonly text: string
  readonly by?: string
  readonly detail: Record<string, string>
  /** Somebody else can have this written as often as they like. */
  readonly outsider?: true
}) => void

/** Nobody has looked at what was asked for; it may be asked again. */
const NOT_DECIDED: readonly ErrorCode[] = ['no-quorum', 'timeout', 'unavailable', 'unclaimed', 'internal']

const signersOf = ({ signers }: Statement<unknown>): string => signers.join(' ')
const detailOf = (plan: Statement<Plan>): Record<string, string> => ({
  plan: plan.id,
  generation: `${plan.body.generation}`,
  layer: plan.body.layer,
  image: plan.body.image,
})
const because = (reason: string): string => (reason === '' ? '' : `: ${reason}`)

/** The plan is the one that the ledger names. */
export function planAccepted(note: Noting, plan: Statement<Plan>): void {
  const { group, generation, layer, version, roster, reason } = plan.body
  note({
    kind: 'plan-accepted',
    subject: group,
    by: signersOf(plan),
    text: `plan ${generation} brings layer ${layer} of ${roster.length} nodes to ${version}${because(reason)}`,
    detail: detailOf(plan),
  })
}

/** `plan`: where it could be opened; otherwise nothing in it can be believed but its digest. */
export function planRefused(note: Noting, bytes: Uint8Array, plan: Statement<Plan> | undefined, error: unknown): void {
  const { code, message } = toFleetError(error)
  note({
    kind: 'plan-refused',
    subject: plan?.body.group ?? '',
    by: plan === undefined ? '' : signersOf(plan),
    text: `${plan === undefined ? 'a plan' : `plan ${plan.body.generation}`} was ${NOT_DECIDED.includes(code) ? 'not taken' : 'refused'}: ${message}`,
    detail: plan === undefined ? { plan: digestOf(bytes), code } : { ...detailOf(plan), code },
    outsider: true,
  })
}

/** Refusals that are remembered, so that a plan which comes over and over is told of once. */
const REMEMBERED = 256

/** Like `planRefused`, for plans that nobody gives to this node in person: each is told of once for a reason. */
export function refusedUnasked(
  note: Noting,
): (bytes: Uint8Array, plan: Statement<Plan> | undefined, error: unknown) => void {
  const told = new Set<string>()
  return (bytes, plan, error) => {
    const key = `${plan?.id ?? sha256(bytes)} ${toFleetError(error).message}`
    if (told.has(key)) return
    if (told.size >= REMEMBERED) told.delete(told.values().next().value as string)
    told.add(key)
    planRefused(note, bytes, plan, error)
  }
}

export function orderTaken(note: Noting, order: Statement<Order>, phase: string): void {
  const { group, generation, verb, node, reason } = order.body
  note({
    kind: 'order-accepted',
    subject: group,
    by: signersOf(order),
    text: `${verb} of generation ${generation}, which is ${phase} now${because(reason)}`,
    detail: { order: order.id, verb, generation: `${generation}`, ...(node === undefined ? {} : { node }) },
  })
}

export function orderRefused(
  note: Noting,
  bytes: Uint8Array,
  order: Statement<Order> | undefined,
  error: unknown,
): void {
  const { code, message } = toFleetError(error)
  note({
    kind: 'order-refused',
    subject: order?.body.group ?? '',
    by: order === undefined ? '' : signersOf(order),
    text: `an order${order === undefined ? '' : ` to ${order.body.verb}`} was ${NOT_DECIDED.includes(code) ? 'not taken' : 'refused'}: ${message}`,
    detail: { order: order?.id ?? digestOf(bytes), code },
    outsider: true,
  })
}

export function phaseSeen(note: Noting, value: LedgerValue): void {
  note({
    kind: 'rollout-phase',
    subject: value.group,
    text: `generation ${value.generation} is ${value.phase}${because(value.reason)}`,
    detail: {
      generation: `${value.generation}`,
      phase: value.phase,
      ...(value.plan === null ? {} : { plan: value.plan }),
    },
  })
}

function digestOf(bytes: Uint8Array): Digest | '' {
  try {
    return idOf(bytes)
  } catch {
    return ''
  }
}
