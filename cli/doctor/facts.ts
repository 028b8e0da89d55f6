import pLimit from 'p-limit'
import { toFleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { VERSION } from '../version.ts'
import type { Facts, LedgerFact } from './types.ts'

/** Ledgers that are read at once: each asks several members. */
const AT_ONCE = 8

/** Asks the daemon for all that the checks need. Throws when it does not answer. */
export async function gather({ client }: Context): Promise<Facts> {
  const info = await client.call('GET /v1/info')
  const fleetctl = VERSION
  if (info.fleet === null)
    return {
      ...{ fleetctl, info, checkup: await client.call('GET /v1/checkup') },
      ...{ members: [], rollouts: [], ledgers: [] },
    }
  const [{ members }, { rollouts }] = await Promise.all([
    client.call('GET /v1/members'),
    client.call('GET /v1/rollouts'),
  ])
  const atOnce = pLimit(AT_ONCE)
  const ledgerOf = async (group: string): Promise<LedgerFact> => {
    try {
      return { group, ledger: await client.call('GET /v1/ledger/:group', { params: { group } }) }
    } catch (error) {
      return { group, ledger: null, error: toFleetError(error).message }
    }
  }
  const groups = [...new Set(members.filter(({ status }) => status !== 'left').map(({ group }) => group))].sort()
  const [checkup, ...ledgers] = await Promise.all([
    client.call('GET /v1/checkup'),
    ...groups.map(group => atOnce(() => ledgerOf(group))),
  ])
  return { fleetctl, info, checkup, members, rollouts, ledgers }
}
