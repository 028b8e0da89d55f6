import { type Digest, type Millis, type NodeId, type Plan, type Statement, windowsAt } from '../../protocol/index.ts'
import { hasBit } from '../ledger/bits.ts'
import { zoneIn } from '../ledger/budget.ts'
import { reach, stagesOf } from '../ledger/stages.ts'
import type { LedgerValue, PermitKind } from '../ledger/value.ts'
import { nextOnRoute } from './route.ts'
import type { Mark } from './types.ts'

/** Whoever is so many places behind is not near. */
export const FAR = 8

/** What the ledger wants of this node's layer, and whether it may ask for a permit now. */
export interface Wanted {
  readonly plan: Digest
  readonly image: Digest
  readonly version: string
  /** It is a barrier on the way to the plan's image, and not that itself. */
  readonly passing: boolean
  readonly kind: PermitKind
  /** Of the plan; milliseconds. */
  readonly minHealthy: number
  readonly deadline: number
  /** A permit may be granted as far as the last known ledger tells. */
  readonly open: boolean
  /** Those before it in roster order ask first, so that the register is not fought over: how many they are, and how many places too few are free for it if they take theirs. */
  readonly before: number
  readonly behind: number
  /** When it is closed and time alone opens it: until then there is nothing to ask. */
  readonly opens: Millis | null
  /** Why it is not yet its turn, in a sentence. */
  readonly waitingFor: string
}

export type Move =
  | { readonly type: 'nothing'; readonly reason: string }
  | { readonly type: 'already' }
  | { readonly type: 'install'; readonly image: Digest }
  | { readonly type: 'replace'; readonly wanted: Wanted }

interface Gate {
  readonly reason: string
  readonly opens: Millis | null
}

export interface Situation {
  readonly now: Millis
  readonly node: NodeId
  readonly layer: string
  readonly current: Digest | null
  readonly value: LedgerValue
  readonly plan: Statement<Plan> | undefined
  readonly mark: Mark | null
}

const nothing = (reason: string): Move => ({ type: 'nothing', reason })

/** What this node should do about the ledger as it last heard of it. Pure; the whole of `explain` hangs on its sentences. */
export function next(situation: Situation): Move {
  const { now, node, layer, current, value, plan, mark } = situation
  if (value.phase === 'idle' || value.plan === null) return nothing('its group has had no plan yet')
  if (plan === undefined || plan.id !== value.plan)
    return nothing(`plan ${value.generation} has not reached this node yet`)
  const between = value.phase === 'done' || value.phase === 'rolled-back'
  if (between && mark?.due === true && current !== null && !value.fenced.includes(node))
    return renewal(plan, current, mark)
  if (plan.body.layer !== layer) return nothing(`plan ${value.generation} is for layer ${plan.body.layer}`)
  if (value.fenced.includes(node)) return nothing('it was written off; it has to join again as a new node')
  const index = plan.body.roster.indexOf(node)
  const phase = value.phase === 'paused' ? value.resumeTo : value.phase
  switch (phase) {
    case 'canary':
    case 'rolling':
    case 'soaking':
      return forward(plan, index)
    case 'reversing':
      return backward(plan, index)
    case 'done':
      if (current === null && now <= plan.body.notAfter) return { type: 'install', image: plan.body.image }
      return nothing(`generation ${value.generation} is done`)
    default:
      return nothing(value.reason || `generation ${value.generation} is ${value.phase}`)
  }

  function forward(plan: Statement<Plan>, index: number): Move {
    const { body } = plan
    if (index < 0) return nothing(`plan ${body.generation} does not name this node`)
    if (now > body.notAfter)
      return nothing(`plan ${body.generation} expired on ${new Date(body.notAfter).toISOString()}`)
    if (hasBit(value.failed, index)) {
      return nothing(
        hasBit(value.ok, index)
          ? `it was replaced in generation ${body.generation} and is not well since`
          : `it failed in generation ${body.generation} and is back on the image before`,
      )
    }
    if (hasBit(value.ok, index)) return nothing(`it has done its part of generation ${body.generation}`)
    if (current === body.image && mark === null) return { type: 'already' }
    const to = nextOnRoute(body, current)
    return { type: 'replace', wanted: wanted(plan, to.image, to.version, 'replace', gate(plan.body, index)) }
  }

  function backward(plan: Statement<Plan>, index: number): Move {
    const { previous, generation } = plan.body
    if (index < 0 || !hasBit(value.ok, index))
      return nothing(`generation ${generation} is being undone; this node has nothing to undo`)
    if (previous === null) return nothing(`generation ${generation} has no image before it to go back to`)
    if (current === previous) return { type: 'already' }
    return { type: 'replace', wanted: wanted(plan, previous, previous.slice(0, 12), 'revert', undefined) }
  }

  /** The image that it runs, afresh: what a marked node needs when no generation is under way. */
  function renewal(plan: Statement<Plan>, image: Digest, { reason }: Mark): Move {
    if (!plan.body.roster.includes(node))
      return nothing(
        `it is marked (${reason}), and plan ${plan.body.generation}, whose budget counts, does not name it`,
      )
    const shut = closed(plan.body)
    return { type: 'replace', wanted: wanted(plan, image, `${image.slice(0, 12)}, which it runs,`, 'renew', shut) }
  }

  /** What keeps this node from going forward whatever the budget is: an earlier stage, a soak, or a window that is closed. */
  function gate(body: Plan, index: number): Gate | undefined {
    if (phase === 'soaking' && value.phase !== 'paused')
      return { reason: `${value.reason}, until ${new Date(value.soakUntil).toISOString()}`, opens: null }
    if (index >= reach(value, body)) return { reason: laterStage(body, index), opens: null }
    return closed(body)
  }

  function closed(body: Plan): Gate | undefined {
    const window = windowsAt(body.windows, now)
    if (window.open) return undefined
    if (window.opens === null) return { reason: 'its maintenance window never opens', opens: null }
    return {
      reason: `waiting for the maintenance window that opens on ${new Date(window.opens).toISOString()}`,
      opens: window.opens,
    }
  }

  function laterStage(body: Plan, index: number): string {
    if (body.canary > 0)
      return `waiting for ${body.canary === 1 ? 'the canary' : `${body.canary} canaries`} to be healthy`
    const own = stagesOf(body).findIndex(end => index < end)
    return `it is of wave ${own + 1} of ${body.waves.length}, and wave ${value.wave + 1} is under way`
  }

  function wanted(
    plan: Statement<Plan>,
    image: Digest,
    version: string,
    kind: PermitKind,
    gate: Gate | undefined,
  ): Wanted {
    const full = isFull(plan.body)
    const paused = value.phase === 'paused'
    const passing = kind === 'replace' && image !== plan.body.image
    return {
      plan: plan.id,
      image,
      version,
      passing,
      kind,
      minHealthy: plan.body.minHealthy,
      deadline: plan.body.deadline,
      open: gate === undefined && full === undefined && !paused,
      opens: paused ? null : (gate?.opens ?? null),
      ...standing(plan, kind),
      waitingFor: `${paused ? `the rollout is paused: ${value.reason}` : (gate?.reason ?? full ?? 'asking for a permit')}${passing ? `; on its way to ${plan.body.version} it may not skip ${version}` : ''}`,
    }
  }

  /** Why no permit is left for this node as far as is known, in a sentence. */
  function isFull(plan: Plan): string | undefined {
    const { permits } = value
    const { maxUnavailable, zones } = plan
    // A permit that it was granted right before its daemon was killed is still its own: asking again gives the same one.
    const own = permits.find(permit => permit.node === node)
    if (own !== undefined)
      return own.kind === 'reboot'
        ? `the host restarts under permit ${own.token}; waiting for that to be over`
        : undefined
    if (permits.length >= maxUnavailable)
      return `${permits.length} of ${maxUnavailable} permits are held; waiting for one to come back`
    if (zones === null) return undefined
    const zone = zoneIn(plan, node)
    const beside = permits.filter(permit => (zoneIn(plan, permit.node) ?? permit.zone) === zone).length
    return beside < zones.cap
      ? undefined
      : `${beside} of the ${zones.cap} that may be down in zone ${zone} are; waiting for one to come back`
  }

  /**
   * Where this node stands among those that still have to go the same way, and may as far as their zones are concerned. Not counted further than
   * FAR places behind the last that is free.
   */
  function standing(plan: Statement<Plan>, kind: PermitKind): { before: number; behind: number } {
    const { zones } = plan.body
    const held = new Set(value.permits.map(permit => permit.node))
    const room = zones?.names.map(
      name =>
        zones.cap - value.permits.filter(permit => (zoneIn(plan.body, permit.node) ?? permit.zone) === name).length,
    )
    const free = Math.max(1, plan.body.maxUnavailable - value.permits.length)
    let before = 0
    for (const [index, other] of plan.body.roster.entries()) {
      if (other === node || before + 1 - free >= FAR) break
      const ok = hasBit(value.ok, index)
      const pending = kind === 'revert' ? ok : !ok && !hasBit(value.failed, index) && !hasBit(value.writtenOff, index)
      if (!pending || held.has(other)) continue
      const zone = zones?.of[index]
      if (room !== undefined && zone !== undefined) {
        if (room[zone]! <= 0) continue
        room[zone]! -= 1
      }
      before += 1
    }
    return { before, behind: Math.max(0, before + 1 - free) }
  }
}
