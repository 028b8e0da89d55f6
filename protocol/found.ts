import { randomInt } from 'node:crypto'
import type { FleetId } from './ids.ts'
import { type Millis, millis, type NodeId } from './ids.ts'
import { generateKeyPair, type KeyPair } from './keys.ts'
import { sign } from './statement.ts'
import { INVITE } from './statements/admission.ts'
import { POLICY } from './statements/policy.ts'
import type { InviteToken } from './token.ts'

const FIRST_INVITE_TTL = 10 * 60_000

/**
 * A new fleet: policy 1 by this operator, with `first` as the voter that every group's ledger begins with, and the invite by
 * which that node makes itself the first member.
 */
export function foundFleet(operator: KeyPair, first: NodeId, now: Millis): InviteToken {
  const policy = sign(
    POLICY,
    '',
    now,
    {
      version: 1,
      previous: null,
      operators: [operator.publicKey],
      threshold: 1,
      publishers: [operator.publicKey],
      groups: { '*': { genesisVoters: [first] } },
      nonce: randomInt(2 ** 48 - 1),
    },
    [operator],
  )
  const fleet = policy.id as string as FleetId
  const key = generateKeyPair()
  const invite = sign(INVITE, fleet, now, { key: key.publicKey, expires: millis(now + FIRST_INVITE_TTL) }, [operator])
  return { fleet, chain: [policy.bytes], invite, key, bootstrap: [] }
}
