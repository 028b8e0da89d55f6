import {
  type Authority,
  FleetError,
  type KeyPair,
  type Millis,
  POLICY,
  type Policy,
  policyApprovalsMissing,
  type Statement,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { plural } from '../text.ts'
import { readAuthority } from './fleet.ts'
import { keep } from './kept.ts'
import { loadKey } from './key-store.ts'
import { changes, nextPolicy, policyWarnings } from './policy-change.ts'
import { readPolicyFile } from './policy-file.ts'

export interface Options {
  readonly dryRun?: true
  /** A file to keep the signed policy in, instead of submitting it. */
  readonly sign?: string
}

/** Makes the next policy of what a file says, signs it and submits it, or keeps it for others to sign. */
export async function run(context: Context, file: string, { dryRun, sign: keptIn }: Options): Promise<undefined> {
  const authority = await readAuthority(context)
  const next = nextPolicy(authority, await readPolicyFile(file))
  const changed = changes(authority.policy, next)
  if (changed.length === 0) {
    const { version } = authority.policy
    context.show({ version, changes: [] }, () => `policy ${version} says so already`)
    return
  }
  if (dryRun === true) {
    showChange(context, authority, next)
    return
  }
  const operator = await signer(context, authority, next)
  context.hint(describe(authority, next, operator))
  const signed = sign(POLICY, authority.fleet, Date.now() as Millis, next, [operator])
  if (keptIn !== undefined) {
    await keep(keptIn, signed, { fresh: true })
    showKept(context, authority, signed, keptIn)
    return
  }
  const lacking = stillMissing(authority, signed)
  if (lacking !== undefined)
    throw new FleetError(
      'refused',
      `it needs ${lacking}; keep your signature with --sign FILE, and have others run: fleetctl policy approve FILE`,
    )
  await submitPolicy(context, signed)
  return
}

/** The key to sign with. Throws `refused` where it is named neither by the current policy nor by the next. */
export async function signer(context: Context, { policy }: Authority, next: Policy): Promise<KeyPair> {
  const key = await loadKey(context)
  if (![...policy.operators, ...next.operators].includes(key.publicKey))
    throw new FleetError(
      'refused',
      `the key ${context.keyFile} is an operator neither of policy ${policy.version} nor of the next; name the right one with --key`,
    )
  return key
}

/** Whose signatures a policy needs before it counts, in words; undefined when it has all. */
export function stillMissing(authority: Authority, next: Statement<Policy>): string | undefined {
  const { current, own } = policyApprovalsMissing(authority, next)
  const of = (count: number, version: number): string[] =>
    count === 0 ? [] : [`${plural(count, 'more signature')} of the operators of policy ${version}`]
  const parts = [...of(current, authority.policy.version), ...of(own, next.body.version)]
  return parts.length === 0 ? undefined : parts.join(' and ')
}

/** What an operator is about to put his name to. */
export function describe(authority: Authority, next: Policy, operator?: KeyPair): string {
  return [
    `policy ${next.version}:`,
    ...changes(authority.policy, next).map(change => `  ${change}`),
    ...policyWarnings(authority.policy, next, operator?.publicKey).map(warning => `Careful: ${warning}.`),
  ].join('\n')
}

export function showChange(context: Context, authority: Authority, next: Policy): void {
  const { policy } = authority
  context.show(
    { policy: next, changes: changes(policy, next), warnings: policyWarnings(policy, next, undefined) },
    () => describe(authority, next),
  )
}

export function showKept(context: Context, authority: Authority, signed: Statement<Policy>, file: string): void {
  const lacking = stillMissing(authority, signed)
  context.show(
    { file, version: signed.body.version, missing: policyApprovalsMissing(authority, signed) },
    () =>
      `${file} ${lacking === undefined ? 'has all signatures' : `needs ${lacking}`}; next: fleetctl policy approve ${file}`,
  )
}

export async function submitPolicy(context: Context, signed: Statement<Policy>): Promise<void> {
  const view = await context.client.call('POST /v1/policy', { body: { statement: toDocument(signed.bytes) } })
  context.show(view, () => `policy ${view.policy.version} is in force here, and on its way to the others`)
}
