import { ERA, eraOf, type Millis, type NodeId, type Recovery } from '../../protocol/index.ts'
import { genesis } from './apply.ts'
import type { LedgerValue, Permit } from './value.ts'

/** Tokens that the lost voters may have granted and nobody who is left has heard of. */
const SPARED_TOKENS = 1_000_000

/**
 * The first value of a recovered ledger: a function of what the operator signed and of nothing else, so that all who open its epoch write the same.
 *
 * What the lost voters granted last may be known to nobody. So everybody who may be out of service begins with a permit: until they have given
 * theirs back there are more than K, and nothing is granted.
 */
export function recovered(recovery: Recovery): LedgerValue {
  const { group, epoch, voters, members, version, generation, nextToken, targets, denied, fenced, at, reason } =
    recovery
  const permit = ({ node, zone }: Recovery['members'][number], index: number): Permit => ({
    token: nextToken + index,
    node,
    zone,
    kind: 'recover',
    generation,
    since: at,
  })
  return {
    ...genesis(group, voters),
    ...{ epoch, version, generation, phase: 'aborted', reason, targets, denied, fenced, progressAt: at },
    nextToken: nextToken + members.length,
    permits: members.map(permit),
  }
}

/** What an operator is to sign: `base` is the newest value that anybody who is left knows, `planned` the newest generation that a plan is known of. */
export function draftRecovery(
  base: LedgerValue,
  found: Pick<Recovery, 'voters' | 'lost' | 'members'> & { planned: number; now: Millis; chance: number },
): Recovery {
  const fenced: NodeId[] = [...new Set([...base.fenced, ...found.lost])].slice(-256)
  return {
    group: base.group,
    epoch: (eraOf(base.epoch) + 1) * ERA + found.chance,
    voters: [...found.voters],
    lost: [...found.lost],
    members: found.members.filter(({ node }) => !fenced.includes(node)),
    version: base.version + 1,
    generation: Math.max(base.generation, found.planned) + 1,
    nextToken: base.nextToken + SPARED_TOKENS,
    targets: { ...base.targets },
    denied: [...base.denied],
    fenced,
    at: found.now,
    reason: '',
  }
}
