import { toDocument } from '../../protocol/index.ts'
import type { FleetService } from '../api/index.ts'
import { createAuditQuestions } from '../audit/index.ts'
import type { Fleetd } from '../fleetd.ts'
import { createKeepQuestions } from '../keep/index.ts'
import { monitor } from '../monitor.ts'
import { fleetAnswers } from './fleet.ts'
import { imageAnswers } from './images.ts'
import { memberAnswers } from './members.ts'
import { rolloutAnswers } from './rollouts.ts'
import { isAlive, scopeOf } from './scope.ts'

/** What the API offers, carried out by the parts of the daemon. */
export function createService(fleetd: Fleetd): FleetService {
  const { trust, network } = fleetd
  const scope = scopeOf(fleetd)
  const { members, events, find, nameOf } = scope
  return {
    ...fleetAnswers(scope),
    ...memberAnswers(scope),
    ...imageAnswers(scope),
    ...rolloutAnswers(scope),
    evidence: (node, signal) => fleetd.evidence.list(node === undefined ? undefined : find(node).id, signal),
    oneEvidence: (digest, signal) => fleetd.evidence.get(digest, signal),
    ...createKeepQuestions({
      orders: fleetd.keepOrders,
      self: network.self,
      find,
      nameOf,
      members: () => members().members(),
      ledger: async (group, signal) => {
        const read = await fleetd.groups.read(group, signal).catch(() => null)
        return read ?? fleetd.groups.known(group)
      },
      hotfixed: () =>
        members()
          .members()
          .filter(member => member.taint.includes('hotfix') && (member.id === network.self || isAlive(member.status)))
          .map(member => member.id),
    }),
    ...createAuditQuestions({
      auditor: fleetd.auditor,
      self: network.self,
      find,
      reachable: () =>
        members()
          .members()
          .filter(member => member.id === network.self || isAlive(member.status))
          .map(member => member.id),
      nameOf,
      layersOf: node =>
        fleetd
          .members()
          ?.find(node)
          ?.layers.map(({ layer }) => layer) ?? [],
      fleet: () => trust.demand().fleet,
    }),
    query: (query, answer, signal) =>
      fleetd.queries.ask(query, each => answer({ ...each, payload: toDocument(each.payload) }), signal),
    monitor: (level, seen, signal) => monitor(fleetd.logTap, fleetd.happenings, level, seen, signal),
    async fireEvent(event) {
      const { author, seq, ltime, cursor } = await events().fire(event)
      return { author, seq, ltime, cursor }
    },
    async *events({ since, follow }, signal) {
      for await (const event of events().since(since, { follow }, signal))
        yield { ...event, authorName: nameOf(event.author) }
    },
  }
}
