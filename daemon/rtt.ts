import { type MemberView, rttBetween } from '../membership/index.ts'
import { FleetError, type NodeId, type Rtt } from '../protocol/index.ts'

/** The round trip between two members as their coordinates estimate it, in milliseconds; null for one node, and where one has no coordinate. */
export const estimatedRtt = (a: MemberView | undefined, b: MemberView): number | null =>
  a === undefined || a.id === b.id || a.coordinate === null || b.coordinate === null
    ? null
    : rttBetween(a.coordinate, b.coordinate)

/** The round trip between two members: what this node has measured where it is one of the two, otherwise an estimate. Throws `bad-input` for twice the same, `not-found` without a coordinate. */
export function rttOf(self: NodeId, from: MemberView, to: MemberView): Rtt {
  if (from.id === to.id)
    throw new FleetError('bad-input', `${from.name} has no round trip to itself; name two different nodes`)
  const estimatedRttMs = estimatedRtt(from, to)
  const measured = from.id === self ? to.rttMs : to.id === self ? from.rttMs : null
  const rttMs = measured ?? estimatedRttMs
  if (rttMs === null) {
    const names = [from, to].filter(({ coordinate }) => coordinate === null).map(({ name }) => name)
    throw new FleetError(
      'not-found',
      `${names.join(' and ')} ${names.length > 1 ? 'have' : 'has'} no network coordinate yet; one is known some seconds after a node has joined and answered its neighbours`,
    )
  }
  return {
    from: { node: from.id, name: from.name },
    to: { node: to.id, name: to.name },
    rttMs,
    measured: measured !== null,
    estimatedRttMs,
  }
}
