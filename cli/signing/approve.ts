import { approvalsMissing, cosign, PLAN } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { countSigned, describe, submitPlan } from './approval.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { keep, readKept } from './kept.ts'
import { loadKey } from './key-store.ts'

interface Options {
  readonly dryRun?: true
  readonly detach?: true
}

/** Adds a signature to a plan that another operator has kept in a file; the last one that the policy demands submits it. */
export async function run(context: Context, file: string, options: Options): Promise<number | undefined> {
  const [authority, { members }] = await Promise.all([readAuthority(context), context.client.call('GET /v1/members')])
  const plan = await readKept(file, PLAN, { fleet: authority.fleet, what: 'plan' })
  const names = new Map<string, string>(members.map(member => [member.id, member.name]))
  const roster = plan.body.roster.map(node => names.get(node) ?? node)
  if (options.dryRun === true) {
    context.show({ plan: plan.body, signers: plan.signers, ...countSigned(authority, plan) }, () =>
      describe(plan, roster),
    )
    return
  }
  const operator = await loadKey(context)
  assertOperator(authority, operator.publicKey, context.keyFile)
  context.hint(describe(plan, roster))
  const approved = cosign(PLAN, plan, operator)
  if (approvalsMissing(authority, approved) === 0) return submitPlan(context, approved, options.detach === true)
  await keep(file, approved, { fresh: false })
  const count = countSigned(authority, approved)
  context.show({ file, ...count }, () => `${file} has ${count.signed} of ${count.needed} signatures; pass it on`)
  return
}
