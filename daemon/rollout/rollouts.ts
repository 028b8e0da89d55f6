import type { Logger } from 'pino'
import {
  decode,
  encode,
  FleetError,
  type Health,
  type LayerStatus,
  LIMITS,
  type Millis,
  type NodeId,
  type Order,
  openOrder,
  openPlan,
  type Plan,
  type Random,
  type RolloutHistory,
  type RolloutStatusView,
  type Statement,
} from '../../protocol/index.ts'
import { type Action, type LedgerValue, type Objection, objectionTo, type Refusal } from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Trust } from '../trust/index.ts'
import type { Proposal } from './access.ts'
import { type Draft, draftOf } from './draft.ts'
import type { Groups } from './groups.ts'
import type { Layer } from './layer.ts'
import { type Noting, orderRefused, orderTaken, phaseSeen, planAccepted, planRefused, refusedUnasked } from './notes.ts'
import type { Plans } from './plans.ts'
import { historyOf, statusOf } from './status.ts'
import { createUpkeep } from './upkeep.ts'

/** Plans that expired before they came here are told of for so long after they were signed. */
const RECENT = 60 * 60_000
const EXPLAIN_TIMEOUT = 3_000
const CONFIRM_TIMEOUT = 2_000
/** How many peers have to see a replaced node alive and passing before its permit goes back. */
const CONFIRMATIONS = 2

/** What the rollout side needs to know of the members. */
export interface MemberLookup {
  all(): readonly {
    id: NodeId
    name: string
    status: string
    health: Health
    group: string
    zone: string
    tags: Record<string, string>
    class: string
    layers: readonly LayerStatus[]
    taint: readonly string[]
    addresses: readonly string[]
  }[]
  find(node: NodeId): ReturnType<MemberLookup['all']>[number] | undefined
}

export interface Rollouts {
  draft(group: string, layer: string, select: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Draft>
  submit(plan: Uint8Array, signal: AbortSignal): Promise<RolloutStatusView>
  order(order: Uint8Array, signal: AbortSignal): Promise<RolloutStatusView>
  status(group: string, signal: AbortSignal): Promise<RolloutStatusView>
  list(): readonly RolloutStatusView[]
  history(group: string, signal: AbortSignal): Promise<RolloutHistory>
  explain(node: NodeId, signal: AbortSignal): Promise<string>
  /**
   * A plan reached this node, by gossip or, `before`, from its own disk. What may not be begun is said in the log and does nothing. Throws unless
   * enough operators signed it.
   */
  acceptPlan(bytes: Uint8Array, before: boolean): Statement<Plan>
  /** What this node, as a voter, has against a plan that somebody proposes; the audit log is told. What only the ledger can tell is left to it. */
  objection(plan: Statement<Plan>): Objection | undefined
  /** Somebody sent this node, or proposed to it as a voter, what is no plan that enough operators signed; the audit log is told. */
  refuseForged(plan: Uint8Array, reason: FleetError): void
  /** The ledger of our group is known to say this. */
  observe(value: LedgerValue): void
  stop(): void
}

export interface RolloutsInit {
  readonly trust: Trust
  readonly network: Network
  readonly groups: Groups
  readonly plans: Plans
  readonly layers: readonly Layer[]
  readonly members: MemberLookup
  readonly group: () => string
  /** Sends a plan on its way to all members and to the disk. */
  readonly spread: (plan: Statement<Plan>) => Promise<void>
  readonly note: Noting
  /** What the audit log told last of the rollouts of this group. */
  readonly noted: { readonly plan: string | undefined; readonly phase: string | undefined }
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

export const SERVICE = { explain: 'explain', confirm: 'confirm' } as const

export function createRollouts(init: RolloutsInit): Rollouts {
  const { trust, network, groups, plans, layers, members, now, log, note } = init
  const unasked = refusedUnasked(note)
  let noted = init.noted
  const upkeep = createUpkeep({ groups, now, random: init.random, log })

  const observe = (value: LedgerValue): void => {
    if (value.group !== init.group()) return
    const plan = value.plan === null ? undefined : plans.get(value.plan)
    tell(value, plan)
    for (const layer of layers) layer.observe(value, plan)
    upkeep.observe(value, plan)
    giveBackForgotten(value)
  }

  /** Tells the audit log of a plan once the ledger names it, and of every phase since. */
  const tell = (value: LedgerValue, plan: Statement<Plan> | undefined): void => {
    if (plan === undefined) return
    if (noted.plan !== plan.id) planAccepted(note, plan)
    const phase = `${value.generation} ${value.phase}`
    if (noted.phase !== phase) phaseSeen(note, value)
    noted = { plan: plan.id, phase }
  }

  /** A permit granted right before the daemon was killed, of a generation that has ended since: nobody else would give it back. That of a reboot is given back by who asked for it. */
  const giveBackForgotten = (value: LedgerValue): void => {
    const permit = value.permits.find(held => held.node === network.self && held.kind !== 'reboot')
    if (permit !== undefined && layers.every(layer => layer.idle())) layers[0]?.giveBack(permit)
  }

  const objection = (plan: Statement<Plan>, value: LedgerValue | undefined): Objection | undefined =>
    objectionTo(plan, {
      now: now(),
      policy: trust.demand().policy,
      members: members.all().filter(({ status }) => status !== 'left'),
      value,
    })

  const sayRefused = (plan: Statement<Plan>, { refused, reason }: Objection): void =>
    log.warn({ event: 'plan-refused', plan: plan.id, group: plan.body.group, refused, reason }, `refused: ${reason}`)

  /** A node that joins is given all that its group ever did: that is no attempt to do it again. */
  const isNews = (plan: Statement<Plan>, { refused }: Objection): boolean =>
    refused !== 'replayed' && (now() <= plan.body.notAfter || now() - plan.clock < RECENT)

  const acceptPlan = (bytes: Uint8Array, before: boolean): Statement<Plan> => {
    const plan = openPlan(trust.demand(), bytes)
    const value = groups.known(plan.body.group)
    // It is kept all the same: here the policy may be the older one, and a plan that no ledger names does nothing. While the disk is read nothing is known to measure it by.
    const against = plans.get(plan.id) === undefined && members.all().length > 0 ? objection(plan, value) : undefined
    if (against !== undefined) {
      sayRefused(plan, against)
      if (!before && isNews(plan, against)) unasked(bytes, plan, new FleetError('refused', against.reason))
    }
    plans.add(plan)
    if (value?.plan === plan.id) observe(value)
    return plan
  }

  const demandValue = async (group: string, signal: AbortSignal): Promise<LedgerValue> => {
    const value = await groups.read(group, signal)
    if (value === null) {
      throw new FleetError(
        'no-quorum',
        `too few voters of the ledger of group ${group} answer; see "fleetctl ledger show ${group}" and bring their hosts back`,
      )
    }
    return value
  }

  const view = (value: LedgerValue): RolloutStatusView =>
    statusOf(value, value.plan === null ? undefined : plans.get(value.plan), node => members.find(node)?.name ?? node)

  const settle = (answer: Proposal, what: string): RolloutStatusView => {
    // `unchanged`: it is so already, most likely because an earlier try of this very proposal did get through.
    if (answer.type === 'committed' || (answer.type === 'refused' && answer.refusal.refused === 'unchanged'))
      return view(answer.value)
    if (answer.type === 'no-quorum') throw new FleetError('no-quorum', `${what}: ${answer.reason}`)
    throw refusalError(what, answer.refusal, answer.value)
  }

  network.serve(SERVICE.explain, () => encode(explainSelf()))
  network.serve(SERVICE.confirm, from => {
    const member = members.find(from)
    return encode(member !== undefined && member.status === 'alive' && member.health !== 'failing')
  })

  const explainSelf = (): string =>
    layers.length === 0
      ? 'it has no layers to replace'
      : layers.map(layer => `${layer.name}: ${layer.explain()}`).join('; ')

  const submit = async (plan: Statement<Plan>, signal: AbortSignal): Promise<RolloutStatusView> => {
    const { group } = plan.body
    // Measured before anybody else hears of it; voters measure it again.
    const value = await demandValue(group, signal)
    const against = objection(plan, value)
    if (against !== undefined) {
      sayRefused(plan, against)
      throw objectionError(against, value)
    }
    // The plan reaches the disk here and is on its way to the others before the ledger names it.
    plans.add(plan)
    await init.spread(plan)
    const answer = await groups.propose(group, { type: 'start', plan, now: now() }, signal)
    log.info(
      { group, generation: plan.body.generation, image: plan.body.version, result: answer.type },
      `plan ${plan.body.generation} for group ${group} was submitted`,
    )
    return settle(answer, `plan ${plan.body.generation} for group ${group}`)
  }

  const carryOut = async (order: Statement<Order>, signal: AbortSignal): Promise<RolloutStatusView> => {
    const { group, generation, verb } = order.body
    const value = await demandValue(group, signal)
    if (value.generation !== generation) {
      throw new FleetError(
        'conflict',
        `the order to ${verb} is for generation ${generation}, and generation ${value.generation} is the newest of group ${group}`,
        { detail: { generation: value.generation } },
      )
    }
    return settle(
      await groups.propose(group, actionOf(order, value, now()), signal),
      `${verb} of generation ${generation}`,
    )
  }

  return {
    acceptPlan,
    objection(plan) {
      const against = objection(plan, undefined)
      if (against !== undefined) {
        sayRefused(plan, against)
        unasked(plan.bytes, plan, new FleetError('refused', against.reason))
      }
      return against
    },
    refuseForged: (plan, reason) => unasked(plan, undefined, reason),
    observe,

    async draft(group, layer, select, signal) {
      return draftOf(await demandValue(group, signal), layer, select, members.all())
    },

    async submit(bytes, signal) {
      let plan: Statement<Plan> | undefined
      try {
        plan = openPlan(trust.demand(), bytes)
        return await submit(plan, signal)
      } catch (error) {
        planRefused(note, bytes, plan, error)
        throw error
      }
    },

    async order(bytes, signal) {
      let order: Statement<Order> | undefined
      try {
        order = openOrder(trust.demand(), bytes)
        const status = await carryOut(order, signal)
        orderTaken(note, order, status.phase)
        return status
      } catch (error) {
        orderRefused(note, bytes, order, error)
        throw error
      }
    },

    status: async (group, signal) => view(await demandValue(group, signal)),

    list: () =>
      [...new Set(members.all().map(member => member.group))]
        .flatMap(group => groups.known(group) ?? [])
        .filter(value => value.phase !== 'idle')
        .map(view),

    history: async (group, signal) => historyOf(await demandValue(group, signal)),
    stop: () => upkeep.stop(),

    async explain(node, signal) {
      if (node === network.self) return explainSelf()
      const member = members.find(node)
      if (member === undefined) throw new FleetError('not-found', `no member ${node}`)
      const permit = groups.known(member.group)?.permits.find(held => held.node === node)
      const holding =
        permit === undefined
          ? ''
          : `; it holds permit ${permit.token} since ${new Date(permit.since).toISOString()}, which keeps counting against the budget`
      if (member.status !== 'alive' && member.status !== 'suspect') return `it is ${member.status}${holding}`
      try {
        const answer = await network.request(node, SERVICE.explain, new Uint8Array(), {
          signal: timeLimit(EXPLAIN_TIMEOUT, signal),
        })
        const text = decode(answer, LIMITS.rpcMessage)
        if (typeof text !== 'string') throw new FleetError('corrupt', 'its answer is no text')
        return text
      } catch (error) {
        return `it does not answer (${(error as Error).message})${holding}`
      }
    },
  }
}

/** Asks neighbours whether they see this node alive and not failing; enough are two, or all there are. */
export async function askForConfirmation(
  network: Network,
  candidates: readonly NodeId[],
  signal: AbortSignal,
): Promise<{ enough: boolean; reason: string }> {
  const asked = candidates.slice(0, CONFIRMATIONS * 2)
  const needed = Math.min(CONFIRMATIONS, asked.length)
  const answers = await Promise.allSettled(
    asked.map(
      async peer =>
        decode(
          await network.request(peer, SERVICE.confirm, new Uint8Array(), {
            signal: timeLimit(CONFIRM_TIMEOUT, signal),
          }),
          64,
        ) === true,
    ),
  )
  const confirmed = answers.filter(answer => answer.status === 'fulfilled' && answer.value).length
  return {
    enough: confirmed >= needed,
    reason: `${confirmed} of the ${needed} peers that are needed see this node alive and well`,
  }
}

function actionOf(order: Statement<Order>, { generation, wave }: LedgerValue, now: Millis): Action {
  const { verb, reason, node } = order.body
  if (verb !== 'write-off') return { type: verb, reason, now, meant: { generation, wave } }
  if (node === undefined) throw new FleetError('bad-input', 'a write-off names its node')
  return { type: 'write-off', node, reason, now }
}

function objectionError({ refused, reason }: Objection, { generation, phase }: LedgerValue): FleetError {
  const conflict = refused === 'stale' || refused === 'replayed'
  return new FleetError(conflict ? 'conflict' : 'refused', reason, { detail: { generation, phase, refused } })
}

function refusalError(what: string, refusal: Refusal, value: LedgerValue): FleetError {
  const detail = { generation: value.generation, phase: value.phase, refused: refusal.refused }
  switch (refusal.refused) {
    case 'conflict':
    case 'stale':
    case 'phase':
      return new FleetError('conflict', `${what}: ${refusal.reason}`, { detail })
    default:
      return new FleetError('refused', `${what}: ${refusal.reason}`, { detail })
  }
}
