import * as z from 'zod'
import { type Authority, authorityFrom } from './authority.ts'
import { decode, encode } from './codec.ts'
import { FleetError } from './errors.ts'
import type { Address, FleetId, Millis, NodeId } from './ids.ts'
import { type KeyPair, keyPairFromSeed } from './keys.ts'
import { LIMITS } from './limits.ts'
import { check } from './schema.ts'
import { open, type Statement, sign } from './statement.ts'
import { CERTIFICATE, type Certificate, INVITE, type Invite } from './statements/admission.ts'
import { address, bytes } from './statements/fields.ts'

/** What `fleetctl invite` prints: all that a new host needs to make itself a member and find the others. */
export interface InviteToken {
  readonly fleet: FleetId
  /** The policy chain, so that the new host knows its fleet before it has met anybody. */
  readonly chain: readonly Uint8Array[]
  readonly invite: Statement<Invite>
  /** The invite's private key: whoever holds it can join until the invite expires. */
  readonly key: KeyPair
  readonly bootstrap: readonly Address[]
}

const PREFIX = 'fleet1.'
const MAX_TOKEN_BYTES = 256 * 1024

const tokenSchema = z.tuple([
  z.array(bytes(LIMITS.policy)).min(1).max(1024),
  bytes(LIMITS.invite),
  bytes(32).refine(seed => seed.byteLength === 32, 'expected a key'),
  z.array(address).max(LIMITS.addresses),
])

export const isToken = (text: string): boolean => text.startsWith(PREFIX)

export function formatToken(token: Pick<InviteToken, 'chain' | 'invite' | 'key' | 'bootstrap'>): string {
  return (
    PREFIX +
    Buffer.from(encode([token.chain, token.invite.bytes, token.key.seed, token.bootstrap])).toString('base64url')
  )
}

/** Throws `bad-input` on what is no token, `unauthorized` when its chain does not hold or it has expired at `now`. */
export function parseToken(text: string, now: Millis): InviteToken {
  if (!isToken(text))
    throw new FleetError('bad-input', `not an invite token: it begins with "${PREFIX}"; get one with: fleetctl invite`)
  const parsed = check(tokenSchema, decodeToken(text))
  if (!parsed.success) throw new FleetError('bad-input', 'the invite token is damaged; copy it whole, on one line')
  const [chain, inviteBytes, seed, bootstrap] = parsed.data
  const { authority, invite } = openParts(chain, inviteBytes)
  if (!invite.signers.some(key => authority.policy.operators.includes(key)))
    throw new FleetError('unauthorized', 'the invite is not signed by an operator of its fleet')
  const key = keyPairFromSeed(seed)
  if (key.publicKey !== invite.body.key)
    throw new FleetError('bad-input', 'the invite token is damaged: its key is not the one that was invited')
  if (now > invite.body.expires)
    throw new FleetError(
      'unauthorized',
      `the invite expired on ${new Date(invite.body.expires).toISOString()}; ask for a new one: fleetctl invite`,
    )
  return { fleet: authority.fleet, chain, invite, key, bootstrap }
}

/** The certificate that a new node gives itself with the key of its invite. */
export function certify(
  token: Pick<InviteToken, 'fleet' | 'invite' | 'key'>,
  node: NodeId,
  now: Millis,
): Statement<Certificate> {
  return sign(CERTIFICATE, token.fleet, now, { node, invite: token.invite.bytes }, [token.key])
}

function openParts(
  chain: readonly Uint8Array[],
  inviteBytes: Uint8Array,
): { authority: Authority; invite: Statement<Invite> } {
  try {
    const authority = authorityFrom(chain)
    return { authority, invite: open(INVITE, authority.fleet, inviteBytes) }
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === 'unauthorized') throw error
    throw new FleetError('bad-input', `the invite token is damaged (${error.message}); copy it whole, on one line`, {
      cause: error,
    })
  }
}

function decodeToken(text: string): unknown {
  try {
    return decode(Uint8Array.from(Buffer.from(text.slice(PREFIX.length), 'base64url')), MAX_TOKEN_BYTES)
  } catch {
    return undefined
  }
}
