import { FleetError, type Millis, PLAN, parseWindow, sign } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { groupOr } from '../nodes.ts'
import { countSigned, submitPlan } from './approval.ts'
import { blastRadius, inOrder } from './blast-radius.ts'
import { estimate } from './estimate.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { keep } from './kept.ts'
import { loadKey } from './key-store.ts'
import { warnings } from './lint.ts'
import { composePlan, type PlanRequest } from './plan.ts'
import { readPlanFile } from './plan-file.ts'

export interface Options extends Omit<PlanRequest, 'window'> {
  readonly window?: readonly string[]
  readonly layer?: string
  readonly image?: string
  readonly group?: string
  readonly select?: Readonly<Record<string, string>>
  readonly file?: string
  readonly dryRun?: true
  readonly detach?: true
  /** A file to keep the signed plan in, instead of submitting it. */
  readonly sign?: string
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
  const tags = new Map(members.map(member => [member.id, member.tags]))
  const { window: texts, ...request } = options
  const window = texts === undefined ? {} : { window: texts.map(parseWindow) }
  const plan = composePlan(
    draft,
    { ...request, ...window },
    { policy: authority.policy, groupSize, now, tagOf: tag => node => tags.get(node)?.[tag] },
  )
  const warned = warnings(plan, draft)
  if (operator === undefined) {
    const time = estimate(plan, now)
    context.show(
      { plan, roster: inOrder(plan, draft), excluded: draft.excluded, warnings: warned, estimate: time },
      () => blastRadius(plan, draft, time, warned),
    )
    return 0
  }
  for (const warning of warned) context.hint(`Careful: ${warning}.`)

  const signed = sign(PLAN, authority.fleet, now, plan, [operator])
  const { signed: have, needed } = countSigned(authority, signed)
  if (options.sign !== undefined) {
    await keep(options.sign, signed, { fresh: true })
    context.show(
      { file: options.sign, signed: have, needed },
      () => `${options.sign} has ${have} of ${needed} signatures; next: fleetctl rollout approve ${options.sign}`,
    )
    return 0
  }
  if (have < needed)
    throw new FleetError(
      'refused',
      `policy ${authority.policy.version} demands ${needed} operators' signatures on a plan; keep yours with --sign FILE, and have others run: fleetctl rollout approve FILE`,
    )
  return submitPlan(context, signed, options.detach === true)
}

async function withFile(flags: Options, file: string): Promise<Options> {
  const { select, ...settings } = await readPlanFile(file)
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  return { ...given, ...flags, select: { ...select, ...flags.select } }
}
