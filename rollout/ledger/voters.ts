import type { NodeId } from '../../protocol/index.ts'

export interface Candidate {
  readonly node: NodeId
  readonly zone: string
  readonly group: string
  /** Reachable now, and not of class intermittent. */
  readonly steady: boolean
}

const WANTED = 5

/**
 * The voters that a group should have instead, or undefined when it has them. Grows 1 -> 3 -> 5 as steady members appear;
 * members of the group first, then the zones with the fewest voters. It only ever adds: who is there stays.
 */
export function grow(
  group: string,
  voters: readonly NodeId[],
  candidates: readonly Candidate[],
): readonly NodeId[] | undefined {
  // A change needs a majority of the voters now; while one is away is no time for it.
  const present = new Set(candidates.filter(candidate => candidate.steady).map(candidate => candidate.node))
  if (voters.some(voter => !present.has(voter))) return undefined
  const zoneOf = new Map(candidates.map(candidate => [candidate.node, candidate.zone]))
  const chosen = [...voters]
  const zones = new Map<string, number>()
  for (const voter of voters) zones.set(zoneOf.get(voter) ?? '', (zones.get(zoneOf.get(voter) ?? '') ?? 0) + 1)
  const rest = candidates.filter(candidate => candidate.steady && !voters.includes(candidate.node))
  while (chosen.length < WANTED && rest.length > 0) {
    rest.sort(
      (a, b) =>
        Number(b.group === group) - Number(a.group === group) ||
        (zones.get(a.zone) ?? 0) - (zones.get(b.zone) ?? 0) ||
        (a.node < b.node ? -1 : 1),
    )
    const next = rest.shift()!
    chosen.push(next.node)
    zones.set(next.zone, (zones.get(next.zone) ?? 0) + 1)
  }
  if (chosen.length % 2 === 0) chosen.pop()
  return chosen.length > voters.length ? chosen : undefined
}
