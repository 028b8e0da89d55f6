import { FleetError, type Millis, PLAN, type Plan, type RolloutDraft, sign, toDocument } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { follow, oneLine } from '../follow.ts'
import { groupOr } from '../nodes.ts'
import { plain, plural } from '../text.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'
import { composePlan, type PlanRequest } from './plan.ts'
import { readPlanFile } from './plan-file.ts'

interface Options extends PlanRequest {
  readonly layer?: string
  readonly image?: string
  readonly group?: string
  readonly select?: Readonly<Record<string, string>>
  readonly file?: string
  readonly dryRun?: true
  readonly detach?: true
}

export async function run(context: Context, flags: Options): Promise<number> {
  const { client } = context
  const options = flags.file === undefined ? flags : await withFile(flags, flags.file)
  const { layer, image } = options
  if (layer === undefined || image === undefined)
    throw new FleetError(
      'bad-input',
      `--${layer === undefined ? 'layer' : 'image'} is missing; see fleetctl rollout start --help`,
    )
  const group = await groupOr(context, options.group)
  const operator = options.dryRun === true ? undefined : await loadKey(context)
  const authority = await readAuthority(context)
  if (operator !== undefined) assertOperator(authority, operator.publicKey, context.keyFile)

  const select = Object.entries(options.select ?? {}).map(([key, pattern]) => `${key}=${pattern}`)
  const [draft, { members }] = await Promise.all([
    client.call('GET /v1/rollouts/:group/draft', { params: { group }, query: { layer, image, select } }),
    client.call('GET /v1/members'),
  ])
  const now = Date.now() as Millis
  const groupSize = members.filter(member => member.group === group && member.status !== 'left').length
  const plan = composePlan(draft, options, { policy: authority.policy, groupSize, now })
  if (operator === undefined) {
    context.show({ plan, roster: inOrder(plan, draft), excluded: draft.excluded }, () => blastRadius(plan, draft))
    return 0
  }

  const signed = sign(PLAN, authority.fleet, now, plan, [operator])
  const status = await client.call('POST /v1/rollouts', { body: { statement: toDocument(signed.bytes) } })
  if (options.detach === true) {
    context.show(status, () => oneLine(status))
    context.hint(`Follow it with: fleetctl rollout status --group ${group} --watch`)
    return 0
  }
  return follow(context, { group, generation: plan.generation, untilPaused: true })
}

async function withFile(flags: Options, file: string): Promise<Options> {
  const { select, ...settings } = await readPlanFile(file)
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  return { ...given, ...flags, select: { ...select, ...flags.select } }
}

const inOrder = (plan: Plan, draft: RolloutDraft): RolloutDraft['roster'] =>
  plan.roster.map(node => draft.roster.find(entry => entry.node === node)!)

/** What the plan would touch, before anybody signs it. */
function blastRadius(plan: Plan, draft: RolloutDraft): string {
  const roster = inOrder(plan, draft)
  const already = roster.filter(entry => entry.digest === plan.image).length
  const zones = new Set(roster.map(entry => entry.zone)).size
  const wide = Math.max(...roster.map(entry => entry.name.length))
  return [
    `generation ${plan.generation} of group ${plan.group} would bring layer ${plan.layer} to ${plan.version}`,
    `  ${plural(roster.length, 'node')} in ${plural(zones, 'zone')}, ${already} of them there already; at most ${plan.maxUnavailable} down at once`,
    `  ${plan.strategy}${plan.canary > 0 ? `, ${plan.canary} first` : ''}; undone when ${plan.maxFailed} failed; each healthy for ${plan.minHealthy / 1000} s within ${plan.deadline / 1000} s`,
    `  back to ${draft.roster.find(entry => entry.digest === plan.previous)?.version ?? plan.previous ?? 'nothing: there is no image before'} when undone`,
    ...roster.map(
      (entry, at) =>
        `  ${String(at + 1).padStart(4)}  ${entry.name.padEnd(wide)}  ${entry.zone}  ${entry.version ?? 'empty'}${at < plan.canary ? '  (canary)' : ''}`,
    ),
    ...draft.excluded.map(entry => `   not  ${entry.name}: ${entry.reason}`),
    'Nothing was submitted (--dry-run).',
  ]
    .map(line => line.split('\n').map(plain).join('\n'))
    .join('\n')
}
