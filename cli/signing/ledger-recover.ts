import { setTimeout as wait } from 'node:timers/promises'
import {
  FleetError,
  type Millis,
  type NodeId,
  RECOVERY,
  type RecoveryDraft,
  recoverySchema,
  sign,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { groupOr } from '../nodes.ts'
import { checked } from './checked.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'

interface Options {
  readonly lost?: readonly string[]
  readonly reason: string
}

/** How long the new voters may take to hear of it before that is said. Milliseconds. */
const PATIENCE = 30_000

/**
 * Signs that a ledger goes on without the voters that do not answer. The operator has to name each of them: that they do not answer can be seen from
 * here, that they never will again cannot.
 */
export async function run(
  context: Context,
  group: string | undefined,
  { lost = [], reason }: Options,
): Promise<undefined> {
  const { client } = context
  const params = { group: await groupOr(context, group) }
  const [{ recovery, silent }, { members }, authority] = await Promise.all([
    client.call('GET /v1/ledger/:group/recovery', { params }),
    client.call('GET /v1/members'),
    readAuthority(context),
  ])
  const nameOf = (node: NodeId): string => members.find(member => member.id === node)?.name ?? node
  assertNamed(silent, lost, nameOf, params.group)
  const operator = await loadKey(context)
  assertOperator(authority, operator.publicKey, context.keyFile)
  const body = checked(recoverySchema, { ...recovery, reason })
  const signed = sign(RECOVERY, authority.fleet, Date.now() as Millis, body, [operator])
  await client.call('POST /v1/recoveries', { body: { statement: toDocument(signed.bytes) } })
  const ledger = await settled(context, params)
  const voters = ledger.voters.map(({ name }) => name).join(', ')
  context.show(
    ledger,
    () =>
      `the ledger of group ${params.group} goes on with ${voters} (epoch ${ledger.epoch}); ${ledger.permits.length} of ${recovery.members.length} permits are out until their hosts say that they are in service`,
  )
  context.hint(`Which ones: fleetctl ledger show ${params.group}; write off hosts that are gone`)
  return
}

function assertNamed(
  silent: RecoveryDraft['silent'],
  named: readonly string[],
  nameOf: (node: NodeId) => string,
  group: string,
): void {
  const isNamed = (node: NodeId): boolean => named.includes(node) || named.includes(nameOf(node))
  const stranger = named.find(name => !silent.some(({ node }) => node === name || nameOf(node) === name))
  if (stranger !== undefined)
    throw new FleetError(
      'refused',
      `${stranger} is no voter of group ${group} that does not answer; those are ${silent.map(({ node }) => nameOf(node)).join(', ')}`,
    )
  if (silent.every(({ node }) => isNamed(node))) return
  const flags = silent.map(({ node }) => `--lost ${nameOf(node)}`).join(' ')
  throw new FleetError(
    'refused',
    `${silent.map(({ node, reason }) => `${nameOf(node)} (${reason})`).join(', ')} do not answer; see with your own eyes that each of them is off and will never come back, then say so: fleetctl ledger recover ${group} ${flags} --reason ...`,
  )
}

/** The ledger once its new voters have heard of it. */
async function settled({ client }: Context, params: { group: string }) {
  const end = Date.now() + PATIENCE
  for (;;) {
    try {
      return await client.call('GET /v1/ledger/:group', { params })
    } catch (error) {
      if (Date.now() > end) throw error
      await wait(500)
    }
  }
}
