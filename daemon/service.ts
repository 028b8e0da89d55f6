import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Address,
  type AuditKind,
  ENDORSEMENT,
  type FetchProgress,
  FleetError,
  isToken,
  type MemberView,
  type NodeId,
  open,
  parseToken,
  type RolloutStatusView,
  toDocument,
  toFleetError,
} from '../protocol/index.ts'
import type { StoredImage } from '../rollout/index.ts'
import type { FleetService } from './api/index.ts'
import { createAuditQuestions } from './audit/index.ts'
import type { Events } from './events/index.ts'
import type { Fleetd } from './fleetd.ts'
import { createKeepQuestions } from './keep/index.ts'
import { watchMembers } from './member-changes.ts'
import type { Members } from './members/index.ts'
import { monitor } from './monitor.ts'
import { DialError, parseAddress } from './network/index.ts'
import { lackingOf, lineageOf } from './rollout/index.ts'
import { estimatedRtt, rttOf } from './rtt.ts'
import { instancesOf, scrapeTargets } from './services/index.ts'

const WATCH_EVERY = 250
const JOIN_TIMEOUT = 5_000
/** Time for the answer to reach whoever asked for the goodbye. */
const LEAVE_DELAY = 100

/** What the API offers, carried out by the parts of the daemon. */
export function createService(fleetd: Fleetd): FleetService {
  const { trust, images, retention, rollouts, network, audit } = fleetd
  const members = (): Members => {
    trust.demand()
    return fleetd.members()!
  }
  const events = (): Events => {
    trust.demand()
    return fleetd.events()!
  }
  /** What an operator signed and this node does not take is in its audit log, with the reason that the operator gets. */
  const noted = async (kind: AuditKind, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      audit.note({ kind, text: `${what} was refused: ${toFleetError(error).message}`, outsider: true })
      throw error
    }
  }
  const nameOf = (node: NodeId): string => fleetd.members()?.find(node)?.name ?? node
  const find = (
    reference: string,
  ): Pick<ReturnType<Members['members']>[number], 'id' | 'name' | 'group' | 'status'> => {
    const all = members().members()
    const exact = all.filter(member => member.name === reference || member.id === reference)
    const found =
      exact.length > 0
        ? exact
        : all.filter(member => member.id.startsWith(reference) || member.name.startsWith(reference))
    if (found.length === 0)
      throw new FleetError('not-found', `no member ${JSON.stringify(reference)}; see "fleetctl members"`)
    if (found.length > 1)
      throw new FleetError(
        'conflict',
        `${JSON.stringify(reference)} may be any of ${found.map(member => `${member.name} (${member.id})`).join(', ')}; give the whole id`,
      )
    return found[0]!
  }
  const instances = (name: string | undefined) =>
    instancesOf(members().members()).filter(({ service }) => name === undefined || service === name)
  const imageView = (image: StoredImage) => ({
    digest: image.digest,
    name: image.manifest.name,
    version: image.manifest.version,
    kind: image.manifest.kind,
    size: image.manifest.size,
    chunks: image.manifest.chunks,
    held: images.heldChunks(image),
    endorsed: image.endorsement !== undefined,
    pinned: retention.isPinned(image.digest),
    kept: retention.why(image.digest),
  })
  const nameOfImage = ({ digest, manifest: { name, version } }: StoredImage) => ({ digest, name, version })
  /** An image that may not be here yet: by whole digest it can be asked of others. */
  const digestOf = (reference: string): StoredImage['digest'] =>
    /^[0-9a-f]{64}$/.test(reference) ? (reference as StoredImage['digest']) : images.resolve(reference).digest

  const alive = (status: string): boolean => status === 'alive' || status === 'suspect'
  const service: FleetService = {
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
          .filter(member => member.taint.includes('hotfix') && (member.id === network.self || alive(member.status)))
          .map(member => member.id),
    }),
    ...createAuditQuestions({
      auditor: fleetd.auditor,
      self: network.self,
      find,
      reachable: () =>
        members()
          .members()
          .filter(member => member.id === network.self || alive(member.status))
          .map(member => member.id),
      nameOf,
      layersOf: node =>
        fleetd
          .members()
          ?.find(node)
          ?.layers.map(({ layer }) => layer) ?? [],
      fleet: () => trust.demand().fleet,
    }),
    version: () => ({ version: fleetd.version, api: 1, node: process.version }),
    info() {
      const labels = fleetd.labels()
      return {
        id: network.self,
        name: fleetd.config.name,
        version: fleetd.version,
        fleet: trust.authority()?.fleet ?? null,
        class: labels.class,
        zone: labels.zone,
        group: labels.group,
        tags: fleetd.members()?.record().tags ?? labels.tags,
        epoch: fleetd.dataDir.epoch,
        services: fleetd.members()?.find(network.self)?.services ?? [],
        addresses: network.addresses(),
        api: fleetd.api(),
        dataDir: fleetd.dataDir.path,
        taint: fleetd.keeping.taints(),
        pid: process.pid,
        startedAt: fleetd.startedAt,
      }
    },
    readiness: () => ({ ready: true, reason: trust.authority() === undefined ? 'it belongs to no fleet yet' : '' }),
    checkup: signal => fleetd.checkup.run(signal),
    members() {
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
    },
    watchMembers: signal => watchMembers(async () => (await service.members()).members, signal),
    services: name => ({ services: instances(name) }),
    scrapeTargets: name => scrapeTargets(instances(name)),
    rtt(from, to) {
      const view = (id: NodeId) => members().find(id)!
      return rttOf(network.self, view(find(from).id), view(to === undefined ? network.self : find(to).id))
    },

    async claim({ chain, token }) {
      if (trust.authority() !== undefined)
        throw new FleetError('refused', `this daemon is a member of fleet ${trust.demand().fleet.slice(0, 12)} already`)
      const parsed = parseToken(token, fleetd.now())
      if (Buffer.compare(chain[0]!, parsed.chain[0]!) !== 0)
        throw new FleetError('bad-input', 'the token is for another fleet than the policy')
      await fleetd.enter(parsed)
      return service.info()
    },
    async join(join, signal) {
      let addresses: readonly Address[]
      if ('token' in join) {
        if (!isToken(join.token)) throw new FleetError('bad-input', 'not an invite token')
        const token = parseToken(join.token, fleetd.now())
        await fleetd.enter(token)
        addresses = token.bootstrap
      } else {
        members()
        addresses = join.addresses.map(parseAddress)
      }
      const reached: string[] = []
      const failed: { address: string; reason: string }[] = []
      await Promise.all(
        addresses.map(async address => {
          members().join([address])
          try {
            await network.connect(undefined, [address], AbortSignal.any([signal, AbortSignal.timeout(JOIN_TIMEOUT)]))
            reached.push(address)
          } catch (error) {
            failed.push({
              address,
              reason:
                error instanceof DialError && error.failure === 'stranger'
                  ? 'whoever answers there is no member of this fleet'
                  : (error as Error).message,
            })
          }
        }),
      )
      if (reached.length === 0 && failed.length > 0) {
        throw new FleetError(
          'unavailable',
          `no member answered: ${failed.map(({ address, reason }) => `${address}: ${reason}`).join('; ')}; they are tried again for as long as this daemon runs`,
        )
      }
      return { fleet: trust.demand().fleet, reached, failed }
    },
    async leave() {
      setTimeout(() => fleetd.requestStop({ leave: true }), LEAVE_DELAY)
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
    query: (query, answer, signal) =>
      fleetd.queries.ask(query, each => answer({ ...each, payload: toDocument(each.payload) }), signal),
    monitor: (level, seen, signal) => monitor(fleetd.logTap, fleetd.happenings, level, seen, signal),
    async changeTags(change) {
      const before = members().record().tags
      const tags = Object.fromEntries(
        Object.entries({ ...before, ...change.set }).filter(([key]) => !change.delete.includes(key)),
      )
      members().changeRecord({ tags })
      return { tags }
    },

    async fireEvent(event) {
      const { author, seq, ltime, cursor } = await events().fire(event)
      return { author, seq, ltime, cursor }
    },
    async *events({ since, follow }, signal) {
      for await (const event of events().since(since, { follow }, signal))
        yield { ...event, authorName: nameOf(event.author) }
    },

    policy() {
      const { fleet, chain, policy } = trust.demand()
      return { fleet, chain: chain.map(({ bytes }) => bytes), policy }
    },
    async acceptPolicy(statement) {
      await noted('policy-refused', 'a policy', () => fleetd.acceptPolicy(statement))
      await fleetd.spread('policy', statement)
    },
    async revoke(statement) {
      await noted('revocation-refused', 'a revocation', () => fleetd.acceptRevocation(statement))
      await fleetd.spread('revocation', statement)
    },

    images: () => ({ images: images.list().map(imageView) }),
    image(reference) {
      const image = images.resolve(reference)
      const endorsers =
        image.endorsement === undefined ? [] : open(ENDORSEMENT, trust.demand().fleet, image.endorsement).signers
      return { ...imageView(image), manifest: image.manifest, endorsers }
    },
    async buildImage(build, progress, signal) {
      trust.demand()
      const kind =
        build.kind ?? ((await stat(build.path).catch(() => undefined))?.isDirectory() === true ? 'tree' : 'file')
      const built = await images.build(
        { ...build, kind },
        { signal, onProgress: done => progress({ done, total: done }) },
      )
      const { name, version, size, chunks } = built.manifest
      return { digest: built.digest, name, version, size, chunks, newChunks: built.newChunks }
    },
    endorseImage: (reference, statement) => images.endorse(images.resolve(reference).digest, statement),
    async fetchImage(reference, progress, signal) {
      trust.demand()
      let last: FetchProgress = { done: 0, total: 0, reused: 0, rate: 0, etaSeconds: null, peers: 0 }
      const image = await images.fetch(digestOf(reference), {
        signal,
        onProgress(next) {
          last = next
          progress(next)
        },
      })
      return { ...last, done: image.manifest.size, total: image.manifest.size, etaSeconds: 0 }
    },
    async verifyImage(reference, repair, progress, signal) {
      const image = images.resolve(reference)
      const result = await images.verify(image.digest, {
        signal,
        repair,
        onProgress: done => progress({ done, total: image.manifest.size }),
      })
      return {
        digest: image.digest,
        chunks: result.chunks,
        missing: result.missing.length,
        damaged: result.bad,
        repaired: result.repaired,
      }
    },
    async exportImage(reference, options) {
      const { exportImage } = await import('./bundles/index.ts')
      const since = options.since === undefined ? undefined : images.resolve(options.since)
      return exportImage(fleetd, images.resolve(reference), { since, withPlan: options.withPlan })
    },
    async importImage(path, progress, signal) {
      const { importImage } = await import('./bundles/index.ts')
      return importImage(fleetd, path, { signal, onProgress: progress })
    },
    async pinImage(reference, pinned) {
      const image = images.resolve(reference)
      await retention.pin(image.digest, pinned)
      return { ...nameOfImage(image), pinned }
    },
    async removeImage(reference) {
      const image = images.resolve(reference)
      return { ...nameOfImage(image), bytes: await retention.remove(image.digest) }
    },
    async collectImages(options) {
      const known = new Map(images.list().map(image => [image.digest, nameOfImage(image)]))
      const { images: gone, chunks, bytes, space } = await retention.collect(options)
      return {
        images: gone.map(digest => known.get(digest)!),
        chunks: chunks.length,
        bytes,
        dryRun: options.dryRun,
        ...space,
      }
    },
    imagePeers(reference) {
      const digest = digestOf(reference)
      const traffic = images.peers(digest)
      const offering = members()
        .members()
        .filter(member => member.id !== network.self && member.images.includes(digest))
        .map(member => member.id)
      return {
        peers: [...new Set([...traffic.keys(), ...offering])].map(node => {
          const seen = traffic.get(node)
          return {
            node,
            name: nameOf(node),
            bytes: seen?.received ?? 0,
            sent: seen?.sent ?? 0,
            offers: offering.includes(node),
            banned: seen?.banned !== undefined,
          }
        }),
      }
    },

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
  }
  return service
}
