import { randomInt } from 'node:crypto'
import {
  FleetError,
  type FleetId,
  formatToken,
  generateKeyPair,
  INVITE,
  type KeyPair,
  type Millis,
  POLICY,
  type Policy,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { short } from '../text.ts'
import { createKey, keyExists, loadKey } from './key-store.ts'

/** The first node's own invite is used at once. */
const OWN_INVITE = 10 * 60_000

export async function run(context: Context): Promise<undefined> {
  const { client, keyFile } = context
  const before = await client.call('GET /v1/info')
  if (before.fleet !== null) {
    throw new FleetError(
      'refused',
      `this daemon belongs to fleet ${short(before.fleet)} already; invite others with: fleetctl invite`,
    )
  }
  const made = !(await keyExists(keyFile))
  const operator: KeyPair = made ? (await createKey(context)).key : await loadKey(context)
  const now = Date.now() as Millis

  const body: Policy = {
    version: 1,
    previous: null,
    operators: [operator.publicKey],
    threshold: 1,
    publishers: [operator.publicKey],
    groups: { '*': { genesisVoters: [before.id] } },
    nonce: randomInt(2 ** 47),
  }
  const policy = sign(POLICY, '', now, body, [operator])
  const fleet = policy.id as string as FleetId
  const key = generateKeyPair()
  const invite = sign(INVITE, fleet, now, { key: key.publicKey, expires: (now + OWN_INVITE) as Millis }, [operator])
  const token = formatToken({ chain: [policy.bytes], invite, key, bootstrap: [] })

  const info = await client.call('POST /v1/claim', { body: { chain: [toDocument(policy.bytes)], token } })
  context.show({ fleet, node: info.id, operator: operator.publicKey, key: keyFile, keyCreated: made }, () =>
    [
      `fleet ${fleet} has its first member: ${info.name} (${info.id})`,
      made ? `operator key written to ${keyFile}; keep a copy, it cannot be made again` : `operator key: ${keyFile}`,
    ].join('\n'),
  )
  context.hint('Next, a token for the second host: fleetctl invite')
  return
}
