import { FleetError } from '../../protocol/errors.ts'
import { type Authority, authorityFrom, type FleetId, type PublicKey } from '../../protocol/index.ts'
import type { Context } from '../context.ts'

/** The fleet as its policy chain proves it: what is signed for it names exactly this fleet, whatever the daemon says. */
export async function readAuthority({ client }: Context): Promise<Authority> {
  const { fleet, chain } = await client.call('GET /v1/policy')
  return authorityFrom(
    chain.map(text => Uint8Array.from(Buffer.from(text, 'base64url'))),
    fleet as string as FleetId,
  )
}

/** Throws `refused` early and by name: the daemon would refuse the signature anyway. */
export function assertOperator({ policy }: Authority, key: PublicKey, keyFile: string): void {
  if (!policy.operators.includes(key))
    throw new FleetError('refused', `the key ${keyFile} is no operator of this fleet; name the right one with --key`)
}
