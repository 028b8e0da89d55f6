import { setTimeout as sleep } from 'node:timers/promises'
import { FleetError, type NodeId, openRecovery, type RolloutStatusView, toFleetError } from '../../protocol/index.ts'
import type { FleetService } from '../api/index.ts'
import { lackingOf, lineageOf } from '../rollout/index.ts'
import type { Scope } from './scope.ts'

const WATCH_EVERY = 250

/** Rollouts and the ledger as the API offers them. */
export function rolloutAnswers({ fleetd, members, find, nameOf, noted }: Scope) {
  const { images, rollouts } = fleetd
  return {
    async draft(group, { layer, image, select }, signal) {
      members()
      const stored = images.resolve(image)
      if (stored.endorsement === undefined)
        throw new FleetError(
          'refused',
          `image ${image} is not signed by a publisher yet; build it with fleetctl, which signs it`,
        )
      const { past, roster, ...draft } = await rollouts.draft(group, layer, select, signal)
      const { name, version, reversible, requires } = stored.manifest
      return {
        ...draft,
        image: { digest: stored.digest, version: `${name}:${version}`, reversible },
        lineage: await lineageOf(images, past, signal),
        lacking: lackingOf(roster, requires),
        roster: roster.map(({ layers: _, ...entry }) => entry),
      }
    },
    async submitPlan(statement, signal) {
      members()
      return rollouts.submit(statement, signal)
    },
    order: (statement, signal) => rollouts.order(statement, signal),
    rollouts: () => ({ rollouts: rollouts.list() }),
    async rollout(group, signal) {
      members()
      return rollouts.status(group, signal)
    },
    async history(group, signal) {
      members()
      return rollouts.history(group, signal)
    },
    async *watchRollout(group, signal) {
      let told = ''
      while (!signal.aborted) {
        let status: RolloutStatusView
        try {
          status = await rollouts.status(group, signal)
        } catch (error) {
          if (signal.aborted) return
          if (toFleetError(error).code !== 'no-quorum') throw error
          await sleep(WATCH_EVERY)
          continue
        }
        const text = JSON.stringify(status)
        if (text !== told) yield status
        told = text
        await sleep(WATCH_EVERY)
      }
    },
    async explain(_group, reference, signal) {
      const node = find(reference)
      return { node: node.id, name: node.name, group: node.group, reason: await rollouts.explain(node.id, signal) }
    },
    async draftRecovery(group, signal) {
      members()
      return fleetd.draftRecovery(group, signal)
    },
    async recover(statement, signal) {
      await noted('recovery-refused', 'a recovery', async () => {
        const recovery = openRecovery(fleetd.trust.demand(), statement)
        await fleetd.assertLost(recovery.body.group, signal)
        // On the disk here, and on its way to the others, before anybody goes by it.
        await fleetd.spread('recovery', statement)
        fleetd.acceptRecovery(recovery)
      })
    },
    async ledger(group, signal) {
      members()
      const value = await fleetd.groups.read(group, signal)
      if (value === null) throw new FleetError('no-quorum', `too few voters of the ledger of group ${group} answer`)
      const named = (node: NodeId) => ({ node, name: nameOf(node) })
      return {
        group,
        version: value.version,
        epoch: value.epoch,
        voters: value.voters.map(named),
        generation: value.generation,
        plan: value.plan,
        phase: value.phase,
        reason: value.reason,
        nextToken: value.nextToken,
        permits: value.permits.map(({ token, node, kind, since }) => ({ token, kind, since, ...named(node) })),
        targets: { ...value.targets },
        denied: value.denied,
        fenced: value.fenced,
        progressAt: value.progressAt,
      }
    },
  } satisfies Partial<FleetService>
}
