import { cosign, FleetError, POLICY } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { readAuthority } from './fleet.ts'
import { keep, readKept } from './kept.ts'
import { describe, showChange, showKept, signer, stillMissing, submitPolicy } from './policy-apply.ts'

/** Adds a signature to a policy that another operator has kept in a file; the last one that it needs submits it. */
export async function run(context: Context, file: string, { dryRun }: { readonly dryRun?: true }): Promise<undefined> {
  const authority = await readAuthority(context)
  const next = await readKept(file, POLICY, { fleet: authority.fleet, what: 'policy' })
  const { policy, chain } = authority
  if (next.body.version !== policy.version + 1 || next.body.previous !== chain.at(-1)!.id)
    throw new FleetError(
      'conflict',
      `${file} holds policy ${next.body.version}, which does not follow policy ${policy.version} that is in force; make it anew: fleetctl policy apply`,
    )
  if (dryRun === true) {
    showChange(context, authority, next.body)
    return
  }
  const operator = await signer(context, authority, next.body)
  context.hint(describe(authority, next.body, operator))
  const approved = cosign(POLICY, next, operator)
  if (stillMissing(authority, approved) === undefined) await submitPolicy(context, approved)
  else {
    await keep(file, approved, { fresh: false })
    showKept(context, authority, approved, file)
  }
  return
}
