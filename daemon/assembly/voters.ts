import type { Logger } from 'pino'
import type { Millis, NodeId } from '../../protocol/index.ts'
import { isGivenUp, type Ledgers, votersToAskFor } from '../ledgers.ts'
import type { Groups } from '../rollout/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Roster } from './roster.ts'

/** How often it is looked at whether a group should have other voters, and how long a candidate has to have been here. Milliseconds. */
const TENDING = { every: 2_000, settled: 2_000 }

export interface VotersInit {
  readonly self: NodeId
  readonly roster: Roster
  readonly ledgers: Ledgers
  readonly groups: Groups
  readonly isRevoked: (node: NodeId) => boolean
  readonly now: () => Millis
  readonly log: Logger
}

/** Where this node is a voter it sees from now on to it that there are enough of them, and none that is gone. Gives back what ends that. */
export function tendVoters(init: VotersInit): () => void {
  const listening = init.now()
  const timer = setInterval(() => tend(init, listening), TENDING.every)
  return () => clearInterval(timer)
}

function tend({ self, roster, ledgers, groups, isRevoked, now, log }: VotersInit, listening: Millis): void {
  const all = roster.all()
  for (const group of new Set(all.map(member => member.group))) {
    const voting = ledgers.genesisVoters(group).includes(self) || groups.known(group)?.voters.includes(self) === true
    if (!voting) continue
    groups.follow(group)
    const value = groups.known(group)
    if (value === undefined) continue
    const candidates = all.map(member => ({
      node: member.id,
      zone: member.zone,
      group: member.group,
      steady:
        member.class !== 'intermittent' &&
        member.status === 'alive' &&
        (member.id === self || now() - member.since >= TENDING.settled),
    }))
    const isGone = (node: NodeId): boolean =>
      isGivenUp({ putOut: value.fenced.includes(node) || isRevoked(node), member: roster.find(node), listening }, now())
    const voters = votersToAskFor(self, value, candidates, isGone)
    if (voters === undefined) continue
    const instead = value.voters.filter(node => !voters.includes(node))
    log.info(
      { group, voters, instead },
      `the ledger of group ${group} gets ${voters.length} voters${instead.length === 0 ? '' : `, ${instead.length} of them in the place of voters that are gone`}`,
    )
    groups
      .propose(group, { type: 'reconfigure', voters }, timeLimit(10_000))
      .catch(error => log.debug({ err: error }, 'the voters could not be changed'))
  }
}
