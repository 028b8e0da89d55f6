import { type Millis, REVOCATION, revocationSchema, sign, toDocument } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { checked } from './checked.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { findSubject } from './gone.ts'
import { loadKey } from './key-store.ts'

export async function run(context: Context, node: string, { reason }: { readonly reason: string }): Promise<undefined> {
  const member = await findSubject(context, node)
  const operator = await loadKey(context)
  const authority = await readAuthority(context)
  assertOperator(authority, operator.publicKey, context.keyFile)
  const body = checked(revocationSchema, { node: member.id, reason })
  const revocation = sign(REVOCATION, authority.fleet, Date.now() as Millis, body, [operator])
  await context.client.call('POST /v1/revocations', { body: { statement: toDocument(revocation.bytes) } })
  context.show({ node: member.id, name: member.name, reason }, () => `${member.name} (${member.id}) is revoked`)
  return
}
