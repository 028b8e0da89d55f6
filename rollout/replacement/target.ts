import type { Digest, Millis, NodeId, Plan, Statement } from '../../protocol/index.ts'
import { hasBit } from '../ledger/bits.ts'
import type { LedgerValue, PermitKind } from '../ledger/value.ts'

/** What the ledger wants of this node's layer, and whether it may ask for a permit now. */
export interface Wanted {
  readonly plan: Digest
  readonly image: Digest
  readonly version: string
  readonly kind: PermitKind
  /** A permit may be granted as far as the last known ledger tells. */
  readonly open: boolean
  /** Among the next 2K in roster order: only those ask at once, so that the register is not fought over. */
  readonly near: boolean
  /** Why it is not yet its turn, in a sentence. */
  readonly waitingFor: string
}

export type Move =
  | { readonly type: 'nothing'; readonly reason: string }
  | { readonly type: 'already' }
  | { readonly type: 'install'; readonly image: Digest }
  | { readonly type: 'replace'; readonly wanted: Wanted }

export interface Situation {
  readonly now: Millis
  readonly node: NodeId
  readonly layer: string
  readonly current: Digest | null
  readonly value: LedgerValue
  readonly plan: Statement<Plan> | undefined
}

const nothing = (reason: string): Move => ({ type: 'nothing', reason })

/** What this node should do about the ledger as it last heard of it. Pure; the whole of `explain` hangs on its sentences. */
export function next(situation: Situation): Move {
  const { now, node, layer, current, value, plan } = situation
  if (value.phase === 'idle' || value.plan === null) return nothing('its group has had no plan yet')
  if (plan === undefined || plan.id !== value.plan)
    return nothing(`plan ${value.generation} has not reached this node yet`)
  if (plan.body.layer !== layer) return nothing(`plan ${value.generation} is for layer ${plan.body.layer}`)
  if (value.fenced.includes(node)) return nothing('it was written off; it has to join again as a new node')
  const index = plan.body.roster.indexOf(node)
  const phase = value.phase === 'paused' ? value.resumeTo : value.phase
  switch (phase) {
    case 'canary':
    case 'rolling':
      return forward(situation, plan, index, phase)
    case 'reversing':
      return backward(situation, plan, index)
    case 'done':
      if (current === null && now <= plan.body.notAfter) return { type: 'install', image: plan.body.image }
      return nothing(`generation ${value.generation} is done`)
    default:
      return nothing(value.reason || `generation ${value.generation} is ${value.phase}`)
  }

  function forward({ value }: Situation, plan: Statement<Plan>, index: number, phase: 'canary' | 'rolling'): Move {
    const { body } = plan
    if (index < 0) return nothing(`plan ${body.generation} does not name this node`)
    if (now > body.notAfter)
      return nothing(`plan ${body.generation} expired on ${new Date(body.notAfter).toISOString()}`)
    if (hasBit(value.ok, index)) return nothing(`it has done its part of generation ${body.generation}`)
    if (hasBit(value.failed, index))
      return nothing(`it failed in generation ${body.generation} and is back on the image before`)
    if (current === body.image) return { type: 'already' }
    const canariesFirst = phase === 'canary' && index >= body.canary
    const waitingFor = canariesFirst
      ? `waiting for ${body.canary === 1 ? 'the canary' : `${body.canary} canaries`} to be healthy`
      : budget(plan)
    return { type: 'replace', wanted: wanted(plan, body.image, body.version, 'replace', !canariesFirst, waitingFor) }
  }

  function backward({ value }: Situation, plan: Statement<Plan>, index: number): Move {
    const { previous, generation } = plan.body
    if (index < 0 || !hasBit(value.ok, index))
      return nothing(`generation ${generation} is being undone; this node has nothing to undo`)
    if (previous === null) return nothing(`generation ${generation} has no image before it to go back to`)
    if (current === previous) return { type: 'already' }
    return { type: 'replace', wanted: wanted(plan, previous, previous.slice(0, 12), 'revert', true, budget(plan)) }
  }

  function wanted(
    plan: Statement<Plan>,
    image: Digest,
    version: string,
    kind: PermitKind,
    turn: boolean,
    waitingFor: string,
  ): Wanted {
    // A permit that it was granted right before its daemon was killed is still its own: asking again gives the same one.
    const room = value.permits.length < plan.body.maxUnavailable || value.permits.some(permit => permit.node === node)
    const paused = value.phase === 'paused'
    return {
      plan: plan.id,
      image,
      version,
      kind,
      open: turn && room && !paused,
      near: rank(plan, kind) < 2 * plan.body.maxUnavailable,
      waitingFor: paused ? `the rollout is paused: ${value.reason}` : waitingFor,
    }
  }

  function budget(plan: Statement<Plan>): string {
    return value.permits.length < plan.body.maxUnavailable
      ? 'asking for a permit'
      : `${value.permits.length} of ${plan.body.maxUnavailable} permits are held; waiting for one to come back`
  }

  /** How many nodes are before this one in roster order among those that still have to go the same way. */
  function rank(plan: Statement<Plan>, kind: PermitKind): number {
    let before = 0
    for (const [index, other] of plan.body.roster.entries()) {
      if (other === node) break
      const ok = hasBit(value.ok, index)
      const pending = kind === 'revert' ? ok : !ok && !hasBit(value.failed, index) && !hasBit(value.writtenOff, index)
      if (pending && !value.permits.some(permit => permit.node === other)) before += 1
    }
    return before
  }
}
