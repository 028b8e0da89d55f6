import type { NodeId } from '../../protocol/index.ts'

export interface Candidate {
  readonly node: NodeId
  readonly zone: string
  readonly group: string
  /** Reachable now, and not of class intermittent. */
  readonly steady: boolean
}

const WANTED = 5

const majority = (count: number): number => (count >> 1) + 1

/**
 * The voters that a group should have instead, or undefined while it has the best that there are. They grow 1 -> 3 -> 5 as steady members appear, and
 * others take the places of those that are gone for good: members of the group first, then the zones with the fewest voters. Who is there stays.
 *
 * A change is for more losses that the ledger can bear, and for nothing else. While a voter is away of which nobody knows whether it comes back, nothing
 * is changed: a change needs a majority of the voters as they are.
 */
export function nextVoters(
  group: string,
  voters: readonly NodeId[],
  candidates: readonly Candidate[],
  isGone: (node: NodeId) => boolean,
): readonly NodeId[] | undefined {
  const present = new Set(candidates.filter(({ steady, node }) => steady && !isGone(node)).map(({ node }) => node))
  const staying = voters.filter(voter => !isGone(voter))
  if (staying.length < majority(voters.length) || staying.some(voter => !present.has(voter))) return undefined
  const chosen = fillVoters(group, staying, candidates, isGone)
  const bears = (here: number, all: number): number => here - majority(all)
  return bears(chosen.length, chosen.length) > bears(staying.length, voters.length) ? chosen : undefined
}

/** Those who stay, and others that are steady up to five: an odd number. */
export function fillVoters(
  group: string,
  staying: readonly NodeId[],
  candidates: readonly Candidate[],
  isGone: (node: NodeId) => boolean,
): readonly NodeId[] {
  const steady = candidates.filter(candidate => candidate.steady && !isGone(candidate.node))
  const zoneOf = new Map(candidates.map(candidate => [candidate.node, candidate.zone]))
  const chosen = [...staying]
  const zones = new Map<string, number>()
  for (const voter of chosen) zones.set(zoneOf.get(voter) ?? '', (zones.get(zoneOf.get(voter) ?? '') ?? 0) + 1)
  const rest = steady.filter(candidate => !staying.includes(candidate.node))
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
  return chosen
}
