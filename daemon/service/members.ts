import { FleetError, type Members, type MemberView, type NodeId } from '../../protocol/index.ts'
import type { FleetService } from '../api/index.ts'
import { watchMembers } from '../member-changes.ts'
import { estimatedRtt, rttOf } from '../rtt.ts'
import { instancesOf, scrapeTargets } from '../services/index.ts'
import type { Scope } from './scope.ts'

/** Members, what they offer and how far they are, as the API offers them. */
export function memberAnswers({ fleetd, members, find }: Scope) {
  const { network, audit } = fleetd
  const instances = (name: string | undefined) =>
    instancesOf(members().members()).filter(({ service }) => name === undefined || service === name)

  const everybody = (): Members => {
    const all = members().members()
    const me = all.find(member => member.id === network.self)
    const views = all.map(
      (member): MemberView => ({
        id: member.id,
        name: member.name,
        addrs: member.addresses,
        status: member.status,
        class: member.class,
        zone: member.zone,
        group: member.group,
        tags: { ...member.tags },
        epoch: member.epoch,
        layers: member.layers,
        services: member.services,
        health: member.health,
        reason: member.reason,
        taint: member.taint,
        rttMs: member.id === network.self ? null : member.rttMs,
        estimatedRttMs: estimatedRtt(me, member),
        version: member.version,
        since: member.since,
      }),
    )
    return { members: views.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)) }
  }

  return {
    members: everybody,
    watchMembers: signal => watchMembers(async () => everybody().members, signal),
    services: name => ({ services: instances(name) }),
    scrapeTargets: name => scrapeTargets(instances(name)),
    rtt(from, to) {
      const view = (id: NodeId) => members().find(id)!
      return rttOf(network.self, view(find(from).id), view(to === undefined ? network.self : find(to).id))
    },

    async forceLeave(reference, prune) {
      const { id, name, status } = find(reference)
      if (status === 'alive' || status === 'suspect')
        throw new FleetError(
          'refused',
          `${name} is alive; ask it to leave ("fleetctl leave" there), or put it out for good ("fleetctl revoke ${name} --reason ...")`,
        )
      if (status === 'away')
        throw new FleetError(
          'refused',
          `${name} is away, as one of class intermittent may be; wait until it is overdue, or put it out for good ("fleetctl revoke ${name} --reason ...")`,
        )
      if (status === 'left' && !prune) return
      members().dismiss(id, prune)
      audit.note({
        kind: 'force-leave',
        subject: id,
        by: 'fleetctl',
        text: `${name}, which was ${status}, counts as left from here on${prune ? ' and is listed no more' : ''}`,
      })
    },
    async changeTags(change) {
      const before = members().record().tags
      // In the order of their names: a Serf client sends what it sets in an order of chance.
      const kept = Object.entries({ ...before, ...change.set }).filter(([key]) => !change.delete.includes(key))
      const tags = Object.fromEntries(kept.sort(([a], [b]) => (a < b ? -1 : 1)))
      members().changeRecord({ tags })
      return { tags }
    },
  } satisfies Partial<FleetService>
}
