import {
  amountOf,
  budgetOf,
  FleetError,
  type MaintenanceWindow,
  type Millis,
  NO_GATES,
  type NodeId,
  type Plan,
  type Policy,
  planSchema,
  type RolloutDraft,
  type Strategy,
  sha256,
} from '../../protocol/index.ts'
import { checked } from './checked.ts'

/** What an operator asks for; what is absent gets its default. Times in milliseconds. */
export interface PlanRequest {
  readonly strategy?: Strategy
  readonly maxUnavailable?: number | string
  readonly canary?: number
  /** How many of the roster have gone by the end of each wave: counts or shares. */
  readonly waves?: readonly (number | string)[]
  readonly soak?: number
  readonly analysis?: number
  readonly maxPerZone?: number
  readonly window?: readonly MaintenanceWindow[]
  /** The tag by whose value the nodes go, lowest first. */
  readonly orderBy?: string
  readonly progressDeadline?: number
  readonly minHealthy?: number
  readonly deadline?: number
  readonly maxFailed?: number
  readonly reason?: string
  readonly force?: boolean
}

const DEFAULTS = {
  minHealthy: 30_000,
  deadline: 5 * 60_000,
  maxFailed: { canary: 1, rolling: 3, waves: 1, 'at-once': 1 },
  soak: { canary: 0, rolling: 0, waves: 5 * 60_000, 'at-once': 0 },
  waves: ['1%', '10%', '50%', '100%'],
} as const
/** A plan that nobody finished in a week was forgotten; it must not go on by surprise. */
const VALID = 7 * 24 * 60 * 60_000

export interface PlanContext {
  readonly policy: Policy
  /** Members of the group, which the policy's budget is a share of. */
  readonly groupSize: number
  readonly now: Millis
  /** A member's value of a tag. */
  readonly tagOf: (tag: string) => (node: NodeId) => string | undefined
}

/**
 * The plan that a request comes to. Throws `conflict` while another generation is active, `refused` for what no daemon would take, and `bad-input`.
 */
export function composePlan(draft: RolloutDraft, request: PlanRequest, context: PlanContext): Plan {
  assertPossible(draft, request)
  const size = draft.roster.length
  const strategy = strategyOf(request)
  const roster = inTurn(draft, request.orderBy === undefined ? undefined : context.tagOf(request.orderBy))
  return checked(planSchema, {
    group: draft.group,
    generation: draft.generation,
    layer: draft.layer,
    image: draft.image.digest,
    version: draft.image.version,
    previous: draft.previous,
    lineage: draft.lineage.map(({ image, version, barrier }) => ({ image, version, barrier })),
    reversible: draft.image.reversible,
    roster: roster.map(({ node }) => node),
    strategy,
    canary: strategy === 'canary' ? Math.min(request.canary ?? 1, size) : 0,
    waves: strategy === 'waves' ? wavesOf(request.waves ?? DEFAULTS.waves, size) : [],
    soak: request.soak ?? DEFAULTS.soak[strategy],
    analysis: request.analysis ?? NO_GATES.analysis,
    maxUnavailable: budgetFor(draft, request, strategy, context),
    zones: request.maxPerZone === undefined ? null : zonesOf(roster, request.maxPerZone),
    windows: request.window ?? NO_GATES.windows,
    minHealthy: request.minHealthy ?? DEFAULTS.minHealthy,
    deadline: request.deadline ?? DEFAULTS.deadline,
    progressDeadline: request.progressDeadline ?? NO_GATES.progressDeadline,
    maxFailed: request.maxFailed ?? DEFAULTS.maxFailed[strategy],
    notAfter: context.now + VALID,
    force: request.force ?? false,
    reason: request.reason ?? '',
  })
}

/** What was named, or what the other settings are for. Throws `bad-input` where they do not go together. */
function strategyOf(request: PlanRequest): Strategy {
  const { canary, waves } = request
  const strategy = request.strategy ?? (waves !== undefined ? 'waves' : canary !== undefined ? 'canary' : 'rolling')
  if (strategy !== 'canary' && canary !== undefined)
    throw new FleetError('bad-input', '--canary needs --strategy canary')
  if (strategy !== 'waves' && waves !== undefined) throw new FleetError('bad-input', '--waves needs --strategy waves')
  if (strategy !== 'waves' && strategy !== 'canary' && request.soak !== undefined)
    throw new FleetError(
      'bad-input',
      '--soak needs --strategy waves or canary; for after the last host there is --analysis',
    )
  if (strategy === 'at-once' && request.maxUnavailable !== undefined)
    throw new FleetError('bad-input', '--strategy at-once takes all down at once, and has no --max-unavailable')
  return strategy
}

/** K of the plan. Throws `refused` for a plan that would take all down at once and does not say so, or may not. */
function budgetFor(draft: RolloutDraft, request: PlanRequest, strategy: Strategy, context: PlanContext): number {
  const size = draft.roster.length
  const allowed = budgetOf(context.policy, draft.group, context.groupSize) ?? size
  if (strategy === 'at-once') {
    if (allowed >= size) return size
    throw new FleetError(
      'refused',
      `the policy allows ${allowed} of group ${draft.group} to be down at once, and --strategy at-once takes down ${size}`,
    )
  }
  const wanted = amountOf(request.maxUnavailable ?? 1, size)
  if (size > 1 && size >= context.groupSize && wanted >= size && allowed >= size) {
    throw new FleetError(
      'refused',
      `--max-unavailable ${request.maxUnavailable} would take all ${size} hosts of the group down at once; if that is meant: --strategy at-once`,
    )
  }
  return Math.min(wanted, allowed, size)
}

/** Growing ends of waves, the last being everybody: shares are rounded up, and a wave that would add nobody is left out. */
function wavesOf(wanted: readonly (number | string)[], size: number): number[] {
  const ends = wanted.map(wave =>
    typeof wave === 'number' ? wave : Math.ceil((Number.parseInt(wave, 10) * size) / 100),
  )
  const growing = ends.filter((end, at) => end > Math.max(0, ...ends.slice(0, at)) && end < size)
  return [...growing, size]
}

function zonesOf(roster: RolloutDraft['roster'], cap: number): Plan['zones'] {
  const names = [...new Set(roster.map(({ zone }) => zone))].sort()
  return { cap, names, of: roster.map(({ zone }) => names.indexOf(zone)) }
}

function assertPossible(draft: RolloutDraft, request: PlanRequest): void {
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
  const oneWay = draft.lineage.find(({ image, reversible }) => image === draft.previous && reversible === false)
  const earlier =
    draft.lineage.some(({ image }) => image === draft.image.digest) && draft.image.digest !== draft.previous
  if (oneWay !== undefined && earlier && request.force !== true) {
    throw new FleetError(
      'refused',
      `${oneWay.version}, which group ${group} runs, has no way back, and ${draft.image.version} was before it; to go there all the same: --force`,
    )
  }
  if (draft.lacking.length > 0 && draft.roster.every(({ node }) => draft.lacking.some(lack => lack.node === node))) {
    const { layer, requires } = draft.lacking[0]!
    throw new FleetError(
      'refused',
      `${draft.image.version} requires that layer ${layer} runs ${requires.slice(0, 12)}, which no host of group ${group} does; bring them there first`,
    )
  }
  if (draft.denied.includes(draft.image.digest) && request.force !== true) {
    throw new FleetError(
      'refused',
      `${draft.image.version} failed in group ${group} before; to try it again all the same: --force`,
    )
  }
}

/**
 * The order in which nodes may go: by their tag where one is named (numbers as numbers, those without it last), then the tainted ones, then by
 * sha256(image|generation|node), so that each plan sends other nodes first, and zones take turns, so that canaries and waves stand in different ones.
 */
function inTurn(
  { image, generation, roster }: RolloutDraft,
  tagOf: ((node: NodeId) => string | undefined) | undefined,
): RolloutDraft['roster'] {
  const place = new Map(roster.map(({ node }) => [node, sha256(Buffer.from(`${image.digest}|${generation}|${node}`))]))
  const byPlace = [...roster].sort((a, b) => (place.get(a.node)! < place.get(b.node)! ? -1 : 1))
  const turns = new Map<string, number>()
  return byPlace
    .map((entry, at) => {
      const tag = tagOf?.(entry.node)
      const key = JSON.stringify([tag, entry.zone])
      const turn = turns.get(key) ?? 0
      turns.set(key, turn + 1)
      return { entry, tag, turn, at, clean: Number(entry.taint.length === 0) }
    })
    .sort((a, b) => byTag(a.tag, b.tag) || a.clean - b.clean || a.turn - b.turn || a.at - b.at)
    .map(({ entry }) => entry)
}

function byTag(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  return a.localeCompare(b, 'en', { numeric: true })
}
