import type { Logger } from 'pino'
import {
  type Digest,
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
  type Statement,
} from '../../protocol/index.ts'
import { type Action, countBits, type LedgerValue, type Refusal } from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import type { Trust } from '../trust/index.ts'
import type { Proposal } from './access.ts'
import type { Groups } from './groups.ts'
import type { Layer } from './layer.ts'
import type { Plans } from './plans.ts'

/** With no grant and no release for this long on top of the plan's own deadline, anybody pauses the rollout (Kubernetes and Nomad: 10 minutes). */
const PROGRESS_DEADLINE = 10 * 60_000
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
    addresses: readonly string[]
  }[]
  find(node: NodeId): ReturnType<MemberLookup['all']>[number] | undefined
}

export interface RolloutStatus {
  readonly group: string
  readonly generation: number
  readonly phase: LedgerValue['phase']
  readonly image: { digest: Digest; version: string } | null
  readonly target: Digest | null
  readonly total: number
  readonly ok: number
  readonly failed: number
  readonly pending: number
  readonly permits: readonly { token: number; node: NodeId; name: string; kind: string; since: Millis }[]
  readonly waves: readonly never[]
  readonly reason: string
}

export interface Draft {
  readonly group: string
  readonly layer: string
  readonly generation: number
  readonly previous: Digest | null
  readonly phase: LedgerValue['phase']
  readonly denied: readonly Digest[]
  readonly roster: readonly {
    node: NodeId
    name: string
    zone: string
    digest: Digest | null
    version: string | null
  }[]
  /** Members of the group that the plan leaves out, and why. */
  readonly excluded: readonly { node: NodeId; name: string; reason: string }[]
}

export interface Rollouts {
  draft(group: string, layer: string, select: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Draft>
  submit(plan: Uint8Array, signal: AbortSignal): Promise<RolloutStatus>
  order(order: Uint8Array, signal: AbortSignal): Promise<RolloutStatus>
  status(group: string, signal: AbortSignal): Promise<RolloutStatus>
  list(): readonly RolloutStatus[]
  explain(node: NodeId, signal: AbortSignal): Promise<string>
  /** A plan reached this node, by gossip or from disk. Throws unless an operator signed it. */
  acceptPlan(bytes: Uint8Array): Statement<Plan>
  /** The ledger of our group is known to say this. */
  observe(value: LedgerValue): void
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
  readonly now: () => Millis
  readonly log: Logger
}

export const SERVICE = { explain: 'explain', confirm: 'confirm' } as const

export function createRollouts(init: RolloutsInit): Rollouts {
  const { trust, network, groups, plans, layers, members, now, log } = init
  const background = new AbortController().signal

  const observe = (value: LedgerValue): void => {
    if (value.group !== init.group()) return
    const plan = value.plan === null ? undefined : plans.get(value.plan)
    for (const layer of layers) layer.observe(value, plan)
    pauseWhenStalled(value, plan)
    giveBackForgotten(value)
  }

  /** A permit granted right before the daemon was killed, of a generation that has ended since: nobody else would give it back. */
  const giveBackForgotten = (value: LedgerValue): void => {
    const permit = value.permits.find(held => held.node === network.self)
    if (permit !== undefined && layers.every(layer => layer.idle())) layers[0]?.giveBack(permit)
  }

  const pauseWhenStalled = (value: LedgerValue, plan: Statement<Plan> | undefined): void => {
    if (plan === undefined || (value.phase !== 'canary' && value.phase !== 'rolling' && value.phase !== 'reversing'))
      return
    const quiet = now() - value.progressAt
    if (quiet < plan.body.deadline + PROGRESS_DEADLINE) return
    const reason = `nothing has moved for ${Math.round(quiet / 60_000)} minutes`
    groups
      .propose(value.group, { type: 'stall', reason, now: now() }, background)
      .catch(error => log.debug({ err: error }, 'could not pause a stalled rollout'))
  }

  const acceptPlan = (bytes: Uint8Array): Statement<Plan> => {
    const plan = openPlan(trust.demand(), bytes)
    plans.add(plan)
    const value = groups.known(plan.body.group)
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

  const view = (value: LedgerValue): RolloutStatus => {
    const plan = value.plan === null ? undefined : plans.get(value.plan)
    const total = plan?.body.roster.length ?? 0
    const ok = countBits(value.ok)
    const failed = countBits(value.failed)
    return {
      group: value.group,
      generation: value.generation,
      phase: value.phase,
      image: plan === undefined ? null : { digest: plan.body.image, version: plan.body.version },
      target: plan === undefined ? null : (value.targets[plan.body.layer] ?? null),
      total,
      ok,
      failed,
      pending: Math.max(0, total - ok - failed - countBits(value.writtenOff)),
      permits: value.permits.map(permit => ({
        token: permit.token,
        node: permit.node,
        name: members.find(permit.node)?.name ?? permit.node,
        kind: permit.kind,
        since: permit.since,
      })),
      waves: [],
      reason: value.reason,
    }
  }

  const settle = (answer: Proposal, what: string): RolloutStatus => {
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

  return {
    acceptPlan,
    observe,

    async draft(group, layer, select, signal) {
      const value = await demandValue(group, signal)
      const patterns = Object.entries(select).map(([key, pattern]) => [key, new RegExp(`^(?:${pattern})$`)] as const)
      const roster: Draft['roster'][number][] = []
      const excluded: Draft['excluded'][number][] = []
      for (const member of members.all()) {
        if (member.group !== group || member.status === 'left') continue
        if (!patterns.every(([key, pattern]) => pattern.test(member.tags[key] ?? ''))) continue
        const running = member.layers.find(status => status.layer === layer)
        const reason =
          running === undefined
            ? `it has no layer ${layer}`
            : member.status === 'alive' || member.status === 'suspect'
              ? undefined
              : `it is ${member.status}`
        if (reason !== undefined) excluded.push({ node: member.id, name: member.name, reason })
        else
          roster.push({
            node: member.id,
            name: member.name,
            zone: member.zone,
            digest: running!.digest,
            version: running!.version,
          })
      }
      return {
        group,
        layer,
        generation: value.generation + 1,
        previous: value.targets[layer] ?? null,
        phase: value.phase,
        denied: value.denied,
        roster,
        excluded,
      }
    },

    async submit(bytes, signal) {
      const plan = openPlan(trust.demand(), bytes)
      if (now() > plan.body.notAfter)
        throw new FleetError('refused', `the plan expired on ${new Date(plan.body.notAfter).toISOString()}`)
      const { group } = plan.body
      // The plan reaches the disk here and is on its way to the others before the ledger names it.
      plans.add(plan)
      await init.spread(plan)
      const answer = await groups.propose(group, { type: 'start', plan, now: now() }, signal)
      log.info(
        { group, generation: plan.body.generation, image: plan.body.version, result: answer.type },
        `plan ${plan.body.generation} for group ${group} was submitted`,
      )
      return settle(answer, `plan ${plan.body.generation} for group ${group}`)
    },

    async order(bytes, signal) {
      const order = openOrder(trust.demand(), bytes)
      const { group, generation, verb } = order.body
      const value = await demandValue(group, signal)
      if (value.generation !== generation) {
        throw new FleetError(
          'conflict',
          `the order to ${verb} is for generation ${generation}, and generation ${value.generation} is the newest of group ${group}`,
          { detail: { generation: value.generation } },
        )
      }
      return settle(await groups.propose(group, actionOf(order, now()), signal), `${verb} of generation ${generation}`)
    },

    status: async (group, signal) => view(await demandValue(group, signal)),

    list: () =>
      [...new Set(members.all().map(member => member.group))]
        .flatMap(group => groups.known(group) ?? [])
        .filter(value => value.phase !== 'idle')
        .map(view),

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
          signal: AbortSignal.any([signal, AbortSignal.timeout(EXPLAIN_TIMEOUT)]),
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
            signal: AbortSignal.any([signal, AbortSignal.timeout(CONFIRM_TIMEOUT)]),
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

function actionOf(order: Statement<Order>, now: Millis): Action {
  const { verb, reason, node } = order.body
  if (verb !== 'write-off') return { type: verb, reason, now }
  if (node === undefined) throw new FleetError('bad-input', 'a write-off names its node')
  return { type: 'write-off', node, reason, now }
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
