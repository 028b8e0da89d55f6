import {
  FleetError,
  type Millis,
  type NodeId,
  type Plan,
  type Policy,
  planSchema,
  type RolloutDraft,
  sha256,
} from '../../protocol/index.ts'
import { checked } from './checked.ts'

/** What an operator asks for; what is absent gets its default. Times in milliseconds. */
export interface PlanRequest {
  readonly strategy?: 'rolling' | 'canary'
  readonly maxUnavailable?: number | string
  readonly canary?: number
  readonly minHealthy?: number
  readonly deadline?: number
  readonly maxFailed?: number
  readonly reason?: string
  readonly force?: boolean
}

const DEFAULTS = { minHealthy: 30_000, deadline: 5 * 60_000, maxFailed: { canary: 1, rolling: 3 } } as const
/** A plan that nobody finished in a week was forgotten; it must not go on by surprise. */
const VALID = 7 * 24 * 60 * 60_000

/**
 * The plan that a request comes to. `groupSize` is the number of members of the group, on which the policy's budget is
 * reckoned. Throws `conflict` while another generation is active, `refused` for what no daemon would take, and `bad-input`.
 */
export function composePlan(
  draft: RolloutDraft,
  request: PlanRequest,
  context: { readonly policy: Policy; readonly groupSize: number; readonly now: Millis },
): Plan {
  lint(draft, request)
  const strategy = request.strategy ?? (request.canary === undefined ? 'rolling' : 'canary')
  if (strategy === 'rolling' && request.canary !== undefined)
    throw new FleetError('bad-input', '--canary needs --strategy canary')
  const size = draft.roster.length
  const budget = budgetOf(context.policy, draft.group)
  const wanted = share(request.maxUnavailable ?? 1, size)
  const allowed = budget === undefined ? wanted : share(budget, context.groupSize)
  return checked(planSchema, {
    group: draft.group,
    generation: draft.generation,
    layer: draft.layer,
    image: draft.image.digest,
    version: draft.image.version,
    previous: draft.previous,
    roster: spread(draft),
    strategy,
    canary: strategy === 'canary' ? Math.min(request.canary ?? 1, size) : 0,
    maxUnavailable: Math.min(wanted, allowed, size),
    minHealthy: request.minHealthy ?? DEFAULTS.minHealthy,
    deadline: request.deadline ?? DEFAULTS.deadline,
    maxFailed: request.maxFailed ?? DEFAULTS.maxFailed[strategy],
    notAfter: context.now + VALID,
    force: request.force ?? false,
    reason: request.reason ?? '',
  })
}

function lint(draft: RolloutDraft, request: PlanRequest): void {
  const { group, phase, generation } = draft
  if (phase !== 'idle' && phase !== 'done' && phase !== 'rolled-back' && phase !== 'aborted') {
    throw new FleetError(
      'conflict',
      `generation ${generation - 1} of group ${group} is ${phase}; wait for it, or end it with: fleetctl rollout abort --group ${group}`,
      { detail: { generation: generation - 1, phase } },
    )
  }
  if (draft.roster.length === 0) {
    const why = draft.excluded.slice(0, 3).map(({ name, reason }) => `${name}: ${reason}`)
    throw new FleetError(
      'refused',
      `the plan would reach nobody in group ${group}${why.length === 0 ? '' : ` (${why.join('; ')})`}; see: fleetctl members --group ${group}`,
    )
  }
  if (draft.denied.includes(draft.image.digest) && request.force !== true) {
    throw new FleetError(
      'refused',
      `${draft.image.version} failed in group ${group} before; to try it again all the same: --force`,
    )
  }
}

function budgetOf(policy: Policy, group: string): number | string | undefined {
  return (policy.groups[group] ?? policy.groups['*'])?.maxUnavailable
}

/** A count, or a share rounded down; at least 1, or nothing would ever move. */
function share(amount: number | string, of: number): number {
  return Math.max(1, typeof amount === 'number' ? amount : Math.floor((Number.parseInt(amount, 10) * of) / 100))
}

/**
 * The order in which nodes may go: each image sends other nodes first, because it is ordered by sha256(image|node), and
 * zones take turns, so that canaries stand in different ones.
 */
function spread({ image, roster }: RolloutDraft): NodeId[] {
  const place = new Map(roster.map(({ node }) => [node, sha256(Buffer.from(`${image.digest}|${node}`))]))
  const byPlace = [...roster].sort((a, b) => (place.get(a.node)! < place.get(b.node)! ? -1 : 1))
  const turns = new Map<string, number>()
  return byPlace
    .map(({ node, zone }, at) => {
      const turn = turns.get(zone) ?? 0
      turns.set(zone, turn + 1)
      return { node, turn, at }
    })
    .sort((a, b) => a.turn - b.turn || a.at - b.at)
    .map(({ node }) => node)
}
