import { FleetError, LIMITS, type Millis, type NodeId, type Random, type Recovery } from '../../protocol/index.ts'
import { draftRecovery, fillVoters, type LedgerValue } from '../../rollout/index.ts'
import type { Survey } from '../ledgers.ts'
import type { Plans } from './plans.ts'
import type { MemberLookup } from './rollouts.ts'

/** Epochs that a recovery may begin with: so many that two operators who know nothing of each other do not hit on the same. */
const CHANCE = 500_000

/**
 * What an operator is to sign so that a ledger goes on without the voters that do not answer. Throws `refused` where a majority answers, where nobody
 * could vote, where nothing is left to go on from, and where there are more members than a ledger can begin with.
 */
export function recoveryOf(
  { newest: base, silent }: Survey,
  init: { members: MemberLookup['all']; plans: Plans; now: () => Millis; random: Random },
): Recovery {
  assertLost({ newest: base, silent })
  const { group } = base
  assertKnown(base, init.plans)
  const isOut = (node: NodeId): boolean => silent.has(node) || base.fenced.includes(node)
  const all = init.members()
  const candidates = all.map(({ id, zone, group, status, class: of }) => ({
    ...{ node: id, zone, group },
    steady: status === 'alive' && of !== 'intermittent',
  }))
  const there = new Set(candidates.filter(({ steady }) => steady).map(({ node }) => node))
  const staying = base.voters.filter(node => there.has(node) && !isOut(node))
  const voters = fillVoters(group, staying, candidates, isOut)
  if (voters.length === 0)
    throw new FleetError('refused', `no member that is alive and always there could vote for group ${group}`)
  const members = new Map<NodeId, string>()
  for (const { node, zone } of base.permits) if (!isOut(node)) members.set(node, zone)
  for (const { id, zone, group: of, status, layers } of all) {
    const mayBeOut = status === 'alive' || status === 'suspect' || status === 'failed'
    if (of === group && mayBeOut && layers.length > 0 && !isOut(id)) members.set(id, zone)
  }
  if (members.size > LIMITS.recoveredMembers)
    throw new FleetError(
      'refused',
      `group ${group} has ${members.size} members, and a ledger of more than ${LIMITS.recoveredMembers} cannot be recovered; begin another group with its hosts`,
    )
  return draftRecovery(base, {
    voters: [...voters],
    lost: [...silent.keys()],
    members: [...members].map(([node, zone]) => ({ node, zone })),
    planned: init.plans.of(group)[0]?.body.generation ?? 0,
    now: init.now(),
    chance: init.random.int(CHANCE),
  })
}

/** Throws `refused` while a majority of the voters answers: what they grant, no recovery could know of. */
export function assertLost({ newest: { group, voters }, silent }: Survey): void {
  const answering = voters.filter(node => !silent.has(node)).length
  if (answering <= voters.length >> 1) return
  throw new FleetError(
    'refused',
    `${answering} of the ${voters.length} voters of group ${group} answer, so its ledger is not lost; a voter that is gone gives its place to another once it is written off: fleetctl node write-off NODE`,
  )
}

/** Throws `refused` where plans were made for a group and all that is left of its ledger is its beginning: what is denied and who is written off would be forgotten. */
function assertKnown({ group, version, epoch }: LedgerValue, plans: Plans): void {
  if (epoch > 1 || version > 0 || plans.of(group).length === 0) return
  throw new FleetError(
    'refused',
    `there are plans for group ${group}, and nobody who answers knows anything of its ledger; start a host that does, or begin another group with its hosts`,
  )
}

/** Why nobody who has not heard of a recovery may draft another. */
export const recoveredAlready = (group: string, by: NodeId): FleetError =>
  new FleetError(
    'refused',
    `a recovery of the ledger of group ${group} is signed already, and ${by} goes by it; wait until this host has heard of it`,
  )
