import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { isEventFrame, type MemberEvent, type MemberView, PROFILES, type SelfRecord } from '../membership/index.ts'
import {
  assertMayPush,
  type Digest,
  decode,
  decodeDocument,
  ENDORSEMENT,
  encode,
  encodeDocument,
  FleetError,
  foundFleet,
  type Health,
  type InviteToken,
  isPublisher,
  isToken,
  LIMITS,
  type Millis,
  type NodeId,
  open,
  parseToken,
  type Random,
  seededRandom,
} from '../protocol/index.ts'
import { type ImageStore, type Intent, openStore } from '../rollout/index.ts'
import { type Api, createApi } from './api/index.ts'
import {
  type Audit,
  type Auditor,
  createAuditor,
  createWitness,
  lastNoted,
  openAudit,
  refusals,
  type Witness,
} from './audit/index.ts'
import { createClock, wholeMillis } from './clock.ts'
import { type Config, changedTags } from './config/index.ts'
import type { Dns } from './dns/index.ts'
import { createDriver, type Driver } from './drivers/index.ts'
import { createEvents, type Events } from './events/index.ts'
import { createEvidence, type EvidenceKeeper } from './evidence/index.ts'
import { createHandlers, type Handlers } from './handlers/index.ts'
import { createHappenings, type Happenings } from './happenings.ts'
import {
  createImages,
  createRetention,
  createScrub,
  type Images,
  type KeptFor,
  openPins,
  type Retention,
  type Scrub,
} from './images/index.ts'
import { createKeeping, createKeepOrders, type Keeping, type KeepOrders } from './keep/index.ts'
import { createLedgers, growth, type Ledgers } from './ledgers.ts'
import type { LogTap } from './log.ts'
import { createMemberWords } from './member-words.ts'
import { createMembers, type Members } from './members/index.ts'
import { createMetrics } from './metrics.ts'
import { addressed, createLibp2pNetwork, type Network, parseAddress } from './network/index.ts'
import type { Registry } from './oci/index.ts'
import { operatorKey } from './operator-key.ts'
import { createKeeper, createPushes, type Keeper, type Pushes } from './pushes/index.ts'
import { createQueries, type Queries } from './queries/index.ts'
import {
  askForConfirmation,
  createGroups,
  createLayer,
  createPlans,
  createRollouts,
  type Groups,
  type Layer,
  type Plans,
  type Rollouts,
} from './rollout/index.ts'
import { serveSerf } from './serf.ts'
import type { SerfRpc } from './serf-rpc/index.ts'
import { createService } from './service.ts'
import { createServices } from './services/index.ts'
import type { DataDir } from './state/index.ts'
import { startTidying, type Tidy } from './tidy.ts'
import { dispatchEvents } from './topic-events.ts'
import { createTrust, type Labels, type Trust } from './trust/index.ts'
import { serveWeb, type Web } from './web/index.ts'

/** How often it is looked at whether a group should have more voters, and how long a candidate has to have been here. Milliseconds. */
const GROWTH = { every: 2_000, settled: 2_000 }

/** How long a slot is kept from being given up because evidence of it has no copies yet: a node that is alone goes on in the end. Milliseconds. */
const COPY_PATIENCE = 20_000

const DEFAULTS: Labels = { class: 'cloud', group: 'default', zone: 'default', tags: {} }

/** The parts of a running daemon, as the service sees them. */
export interface Fleetd {
  readonly config: Config
  readonly version: string
  readonly startedAt: Millis
  readonly dataDir: DataDir
  readonly trust: Trust
  readonly network: Network
  readonly store: ImageStore
  readonly images: Images
  readonly pushes: Pushes
  readonly retention: Retention
  readonly scrub: Scrub
  readonly ledgers: Ledgers
  readonly groups: Groups
  readonly plans: Plans
  readonly rollouts: Rollouts
  readonly queries: Queries
  readonly happenings: Happenings
  readonly logTap: LogTap
  readonly handlers: Handlers
  readonly audit: Audit
  readonly auditor: Auditor
  readonly keeping: Keeping
  readonly keepOrders: KeepOrders
  readonly evidence: EvidenceKeeper
  /** Undefined while the daemon belongs to no fleet. */
  members(): Members | undefined
  /** Undefined while the daemon belongs to no fleet. */
  events(): Events | undefined
  /** Makes this node a member, and starts to take part. */
  enter(token: InviteToken): Promise<void>
  /** Takes a policy or a revocation, wherever it came from, and tells the audit log when it was news. */
  acceptPolicy(statement: Uint8Array): Promise<void>
  acceptRevocation(statement: Uint8Array): Promise<void>
  /** Passes a document on to all members, and to its own disk. */
  spread(kind: 'plan' | 'policy' | 'revocation', statement: Uint8Array): Promise<void>
  labels(): Labels
  /** Takes up those settings of the next configuration that can change while it runs (RELOADABLE). Throws `refused` when the invite forbids a tag. */
  reload(next: Config): void
  api(): readonly string[]
  /** `HOST:PORT` of the web page; undefined where there is none. */
  web(): string | undefined
  now(): Millis
  /** Resolves once it has stopped. `leave`: says goodbye first, and ends the programs. */
  stop(options: { leave: boolean }): Promise<void>
  /** Asked for through the API; the process ends after it. */
  requestStop(options: { leave: boolean }): void
}

/** Puts the parts together and starts them. */
export async function startFleetd(
  config: Config,
  dataDir: DataDir,
  version: string,
  log: Logger,
  logTap: LogTap,
  onStopRequest: (options: { leave: boolean }) => void,
): Promise<Fleetd> {
  const exactNow = createClock()
  const now = wholeMillis(exactNow)
  const random = seededRandom(randomInt(2 ** 31))
  let members: Members | undefined
  let witness: Witness | undefined
  let events: Events | undefined
  /** The configuration as last reloaded; `config` is that of the start. */
  let settings = config
  let layersKnown = false
  let labels: Labels = { class: config.class, group: config.group, zone: config.zone, tags: config.tag }

  const trust = createTrust({
    key: dataDir.key,
    store: {
      saveMembership: membership => dataDir.fleet.save(membership),
      saveRevocations: revocations => dataDir.revocations.add(revocations),
    },
    membership: await dataDir.fleet.load(),
    revocations: await dataDir.revocations.load(),
    now,
    known: node => members?.knows(node) ?? false,
    onChange: () => network.reconsider(),
  })
  const network = createLibp2pNetwork({
    key: dataDir.key,
    listen: config.listen,
    advertise: config.advertise,
    mdns: config.mdns,
    lanOnly: config.lanOnly,
    relay: config.relay,
    admission: trust,
    log,
  })

  const audit = await openAudit({
    directory: dataDir.path,
    node: network.self,
    version,
    epoch: dataDir.epoch,
    now,
    log,
    onGrown: () => witness?.grown(),
  })
  witness = await createWitness({
    network,
    trust,
    db: dataDir.db,
    audit,
    epoch: dataDir.epoch,
    knows: node => members?.knows(node) ?? false,
    now,
    log,
  })
  witness.grown()
  const auditor = createAuditor({ network, trust, audit, witness, alive: () => alivePeers(), now })

  const happenings = createHappenings(error => log.error({ err: error }, 'somebody who listens to what happens failed'))
  const memberWords = createMemberWords()
  const tellMember = (event: MemberEvent, member: MemberView): void => {
    const word = memberWords(event, member)
    if (word !== undefined) happenings.tell({ type: 'members', event: word, members: [member] })
  }
  const queries = createQueries({
    network,
    trust,
    epoch: dataDir.epoch,
    members: () => members,
    tell: query => happenings.tell({ type: 'query', query }),
    now,
    random,
    log,
  })
  const handlers = await createHandlers({
    config,
    happenings,
    store: dataDir,
    self: () => ({ id: network.self, name: config.name, ...labels, tags: members?.record().tags ?? labels.tags }),
    nameOf: node => members?.find(node)?.name,
    now,
    log,
  })

  let scrub: Scrub | undefined
  const store = await openStore(dataDir.path, dataDir.db, { onDamaged: chunk => scrub?.found(chunk) })
  /** Undefined until every layer has found what it runs: before that nothing can be said to be of no use. */
  function* needed(): Generator<readonly [Digest, KeptFor]> {
    for (const driver of drivers) {
      const { digest, previous } = driver.current()
      if (digest !== undefined) yield [digest, 'running']
      if (previous !== undefined) yield [previous, 'previous']
      for (const image of driver.holds()) if (image !== digest && image !== previous) yield [image, 'staged']
    }
    for (const layer of layers) {
      const wanted = layer.wanted()
      if (wanted !== null) yield [wanted, 'wanted']
    }
    for (const image of keeper.kept()) yield [image, 'copy']
  }
  const retention = createRetention({
    store,
    directory: dataDir.path,
    pins: await openPins(dataDir),
    limits: () => settings,
    needed: () => (layersKnown ? needed() : undefined),
    now,
    log,
    onRemoved(gone) {
      for (const image of gone)
        audit.note({
          kind: 'image-removed',
          subject: image,
          text: `image ${image.slice(0, 12)} is removed from this node`,
          detail: { image },
        })
      tellVitals()
    },
  })
  const images: Images = createImages({
    store,
    // A provider need be no neighbour of ours, nor somebody whom we can dial.
    network: addressed(network, node => members?.find(node)?.addresses ?? []),
    now,
    random,
    log,
    providers(image) {
      const holders = keeper.holders(image)
      return (members?.members() ?? [])
        .filter(member => member.id !== network.self && reachable(member))
        .filter(member => member.images.includes(image) || holders.includes(member.id))
        .map(member => member.id)
    },
    vouched: image => pushes.naming(image).length > 0,
    endorsed(image, endorsement) {
      try {
        const statement = open(ENDORSEMENT, trust.demand().fleet, endorsement)
        return statement.body.image === image && isPublisher(trust.demand(), statement)
      } catch {
        return false
      }
    },
    onHoldings: () => tellVitals(),
    onComplete: ({ digest, manifest: { name, version, size } }, how) =>
      audit.note({
        kind: 'image-added',
        subject: `${name}:${version}`,
        text: `image ${name}:${version} (${digest.slice(0, 12)}, ${size} bytes) was ${how} here`,
        detail: { image: digest },
      }),
    during: retention.during,
  })
  scrub = createScrub({ store, mend: images.mend, log, start: random.int(256) })

  const pushes: Pushes = await createPushes({
    network,
    trust,
    db: dataDir.db,
    now,
    random,
    log,
    onChange() {
      tellVitals()
      keeper.consider()
    },
  })
  const keeper: Keeper = createKeeper({
    self: network.self,
    pushes,
    images,
    candidates: () =>
      (members?.members() ?? [])
        .filter(({ status, class: kind }) => status === 'alive' && kind !== 'intermittent')
        .map(({ id }) => id),
    now,
    log,
  })

  const plans = createPlans(plan => {
    const value = groups.known(plan.body.group)
    if (value?.plan === plan.id) rollouts.observe(value)
  })
  const ledgers = createLedgers({
    network,
    trust,
    store: dataDir.ledger,
    plan: id => plans.get(id),
    addresses: node => members?.find(node)?.addresses ?? [],
    objection: plan => rollouts.objection(plan)?.reason,
    now,
    random,
    log,
  })
  const groups = createGroups({
    trust,
    network,
    access: ledgers.access,
    members: () => ({
      count: members?.stats().alive ?? 0,
      knows: node => node === network.self || (members?.knows(node) ?? false),
      links: members?.links() ?? [],
    }),
    onValue(value) {
      ledgers.believe(value)
      rollouts.observe(value)
    },
    now,
    random,
    log,
  })

  const layers: Layer[] = []
  const drivers: Driver[] = []
  for (const [name, layerConfig] of Object.entries(config.layers)) {
    const driver = createDriver(layerConfig, {
      layer: name,
      directory: join(dataDir.path, 'layers', name),
      node: network.self,
      random,
      log: log.child({ layer: name }),
    })
    await driver.start()
    drivers.push(driver)
    layers.push(
      createLayer({
        layer: name,
        node: network.self,
        zone: config.zone,
        driver,
        ledger: {
          propose: (action, signal) => groups.propose(labels.group, action, signal),
          read: signal => groups.read(labels.group, signal),
        },
        intent: await loadIntent(dataDir, name),
        persistIntent: intent => dataDir.intent.save(name, intent === null ? null : encode(intent)),
        async fetch(image, signal, progress) {
          await images.fetch(image, {
            signal,
            onProgress: ({ done, total }) => progress(total === 0 ? 1 : done / total),
          })
        },
        unpack: (image, directory, signal) => images.unpack(image, directory, signal),
        unavailable: plan => plan.roster.filter(node => members?.find(node)?.status === 'failed'),
        confirm: (_image, signal) => askForConfirmation(network, alivePeers(), signal),
        labelOf(image) {
          const manifest = images.get(image)?.manifest
          return manifest === undefined ? null : `${manifest.name}:${manifest.version}`
        },
        now,
        random,
        log,
        note: audit.note,
        async witness(cause, reason, signal) {
          const found = await keeping.evidence(name, cause, reason, signal)
          if (found !== undefined) await evidence.keep(found)
        },
        witnessed: () => evidence.copied(COPY_PATIENCE),
        onChange: () => tellVitals(),
        quiesce: signal => services.quiesce(name, signal),
      }),
    )
  }
  layersKnown = true
  const evidence = await createEvidence({
    directory: dataDir.path,
    network,
    alive: () => alivePeers(),
    nameOf: node => (node === network.self ? config.name : (members?.find(node)?.name ?? node)),
    note: audit.note,
    now,
    log,
  })
  const keeping = createKeeping({
    node: network.self,
    name: config.name,
    slots: Object.entries(config.layers).map(([name, { drift, maxAge }], at) => ({
      name,
      driver: drivers[at]!,
      drift,
      maxAge,
      labelOf: () => layers[at]!.status().version,
      marked: () => layers[at]!.marked(),
    })),
    store,
    note: audit.note,
    during: retention.during,
    now,
    random,
    log,
  })
  const keepOrders = await createKeepOrders({ network, trust, store: dataDir, keeping, note: audit.note, now })
  const services = createServices({
    config: config.services,
    layer(name) {
      const layer = layers.find(layer => layer.name === name)
      return layer && { health: layer.health().health, state: layer.status().state }
    },
    setting: { cwd: dataDir.path, env: {} },
    onChange: () => tellVitals(),
  })
  const rollouts = createRollouts({
    trust,
    network,
    groups,
    plans,
    layers,
    members: { all: () => members?.members() ?? [], find: node => members?.find(node) },
    group: () => labels.group,
    spread: plan => fleetd.spread('plan', plan.bytes),
    note: audit.note,
    noted: await lastNoted(audit),
    now,
    random,
    log,
  })

  const reachable = (member: MemberView): boolean => member.status === 'alive' || member.status === 'suspect'
  const alivePeers = (): NodeId[] => {
    const linked = (members?.links() ?? []).filter(node => members?.find(node)?.status === 'alive')
    return random.shuffle(linked)
  }

  let telling = false
  /** Says how this node is, once for all changes of one turn. */
  const tellVitals = (): void => {
    if (telling) return
    telling = true
    setImmediate(() => {
      telling = false
      const states = layers.map(layer => layer.health())
      const failing = states.find(state => state.health === 'failing')
      const health: Health =
        failing !== undefined
          ? 'failing'
          : states.length > 0 && states.every(state => state.health === 'passing')
            ? 'passing'
            : 'unknown'
      const reason = (failing ?? states.find(state => state.health !== 'passing'))?.reason ?? ''
      const wanted = layers.flatMap(layer => layer.wanted() ?? [])
      const held = [
        ...new Set<Digest>([
          ...wanted.filter(image => images.get(image) !== undefined),
          ...images.holdings().toReversed(),
        ]),
      ].slice(0, LIMITS.images)
      const serviceStates = services.states()
      members?.setVitals({
        ...(serviceStates === undefined ? {} : { services: serviceStates }),
        health,
        reason: reason.slice(0, 512),
        layers: layers.map(layer => layer.status()),
        images: held,
        taint: keeping.taints(),
      })
    })
  }

  const takeDocument = (document: Uint8Array, before: boolean): void => {
    const { kind, statement } = decodeDocument(document)
    const taken =
      kind === 'plan'
        ? Promise.resolve(void rollouts.acceptPlan(statement, before))
        : kind === 'policy'
          ? fleetd.acceptPolicy(statement).catch(() => undefined) // one of the chain, seen before
          : fleetd.acceptRevocation(statement)
    taken.catch(error => log.error({ err: error, kind }, 'a document could not be taken'))
  }

  const takePart = async (): Promise<void> => {
    labels = trust.bound(labels, DEFAULTS)
    const record: SelfRecord = {
      name: config.name,
      addresses: [...network.addresses()],
      class: labels.class,
      zone: labels.zone,
      group: labels.group,
      tags: labels.tags,
      version,
      certificate: trust.credentials()!.certificate,
      ...(services.offered === undefined ? {} : { services: [...services.offered] }),
    } as SelfRecord
    members = await createMembers({
      network,
      trust,
      store: dataDir,
      profile: PROFILES[config.profile](),
      epoch: dataDir.epoch,
      record,
      now,
      exactNow,
      random,
      log,
      onEvent(event, member) {
        log[event === 'update' ? 'debug' : 'info'](
          { event: `member-${event}`, node: member.id, name: member.name },
          `${member.name}: ${event}`,
        )
        tellMember(event, member)
      },
      onDocument: takeDocument,
      onRefused: refusals(audit.note),
    })
    events = await createEvents({ network, trust, happenings, directory: dataDir.path, now, random, log })
    handlers.follow(events)
    for (const peer of network.links()) events.network.linkUp(peer)
    tellMember('join', members.find(network.self)!)
    for (const node of trust.demand().revoked.keys()) {
      members.revoked(node)
      events.revoked(node)
    }
    tellVitals()
    groups.follow(labels.group)
  }

  /** Where this node is a voter it sees to it that there are enough of them. */
  const tend = (): void => {
    if (members === undefined) return
    const all = members.members()
    for (const group of new Set(all.map(member => member.group))) {
      const voting =
        ledgers.genesisVoters(group).includes(network.self) ||
        groups.known(group)?.voters.includes(network.self) === true
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
          (member.id === network.self || now() - member.since >= GROWTH.settled),
      }))
      const voters = growth(network.self, value, candidates)
      if (voters === undefined) continue
      log.info({ group, voters }, `the ledger of group ${group} gets ${voters.length} voters`)
      groups
        .propose(group, { type: 'reconfigure', voters }, AbortSignal.timeout(10_000))
        .catch(error => log.debug({ err: error }, 'the voters could not be changed'))
    }
  }

  let growing: NodeJS.Timeout | undefined
  let api: Api | undefined
  let web: Web | undefined
  let serf: SerfRpc | undefined
  let tidy: Tidy | undefined
  let registry: Registry | undefined
  let dns: Dns | undefined
  const startedAt = now()
  const fleetd: Fleetd = {
    config,
    version,
    startedAt,
    dataDir,
    trust,
    network,
    store,
    images,
    pushes,
    retention,
    scrub,
    ledgers,
    groups,
    plans,
    rollouts,
    queries,
    happenings,
    logTap,
    handlers,
    audit,
    auditor,
    keeping,
    keepOrders,
    evidence,
    members: () => members,
    events: () => events,
    labels: () => labels,
    reload(next) {
      const record = members?.record()
      const tags = changedTags(settings.tag, next.tag, record?.tags ?? labels.tags)
      // Checked first: what is refused must leave all as it was.
      const bound = trust.authority() === undefined ? { ...labels, tags } : trust.bound({ ...labels, tags }, DEFAULTS)
      handlers.configure(next)
      if (!isDeepStrictEqual(settings.tag, next.tag)) {
        labels = bound
        members?.changeRecord({ tags: bound.tags })
      }
      settings = next
    },
    now,
    api: () => api?.addresses() ?? [],
    web: () => web?.address,
    async enter(token) {
      await trust.enter(token)
      if (members === undefined) await takePart()
      if (token.bootstrap.length > 0) members!.join(token.bootstrap)
    },
    async acceptPolicy(statement) {
      if (!(await trust.acceptPolicy(statement))) return
      const { chain, policy } = trust.demand()
      const signers = chain.at(-1)!.signers.join(' ')
      audit.note({
        kind: 'policy',
        by: signers,
        text: `policy ${policy.version} is in force`,
        detail: { policy: chain.at(-1)!.id, version: `${policy.version}` },
      })
    },
    async acceptRevocation(statement) {
      const node = await trust.acceptRevocation(statement)
      if (node === undefined) return
      members?.revoked(node)
      events?.revoked(node)
      const { body, signers, id } = trust.demand().revoked.get(node)!
      audit.note({
        kind: 'revocation',
        subject: node,
        by: signers.join(' '),
        text: `node ${node} is put out for good: ${body.reason}`,
        detail: { revocation: id },
      })
    },
    async spread(kind, statement) {
      if (members === undefined) throw new FleetError('unclaimed', 'this daemon belongs to no fleet yet')
      await members.addDocument(encodeDocument(kind, statement))
    },
    async stop({ leave }) {
      clearInterval(growing)
      const handled = handlers.stop()
      if (leave) await members?.leave()
      await web?.close()
      await api?.close()
      tidy?.stop()
      await serf?.close()
      await registry?.close()
      await dns?.close()
      services.stop()
      queries.stop()
      groups.stop()
      rollouts.stop()
      members?.stop()
      await events?.close()
      await keeping.stop()
      await evidence.stop()
      for (const layer of layers) await layer.stop()
      for (const driver of drivers) await driver.stop({ leaveRunning: !leave })
      await keeper.stop()
      await pushes.stop()
      await scrub.stop()
      await retention.stop()
      await images.stop()
      await network.stop()
      await handled
      await witness.stop()
      await audit.stop()
      await dataDir.close()
    },
    requestStop: onStopRequest,
  }

  await network.start({
    linkUp(peer) {
      members?.events.linkUp(peer)
      events?.network.linkUp(peer)
      pushes.linkUp(peer)
      witness.linkUp()
    },
    linkDown(peer, cause) {
      members?.events.linkDown(peer, cause)
      events?.network.linkDown(peer)
    },
    frame: (peer, frame) =>
      isEventFrame(frame) ? events?.network.frame(peer, frame) : members?.events.frame(peer, frame),
    heard: peer => members?.events.heard(peer),
    discovered: (peer, addresses) => members?.events.discovered(peer, addresses),
    moved: addresses => members?.changeRecord({ addresses: [...addresses] }),
    gossip: (topic, message, from) =>
      topic === 'members'
        ? (members?.gossip(message) ?? 'ignore')
        : topic === 'rollouts'
          ? groups.gossip(message)
          : dispatchEvents(message, {
              ...queries.gossip,
              push: pushes.gossip,
              audit: witness.gossip,
              event: statement => events?.gossip(statement, from) ?? 'ignore',
            }),
  })
  if (trust.authority() === undefined && config.init) {
    await fleetd.enter(foundFleet(await operatorKey(config.operatorKey), network.self, now()))
    log.info(
      { fleet: trust.demand().fleet, operatorKey: config.operatorKey },
      'a new fleet was made; its operator key is all that can change it: keep it safe',
    )
  } else if (trust.authority() !== undefined) await takePart()
  await joinConfigured(fleetd, log)
  for (const layer of layers) layer.start()
  services.start()
  keeping.start()
  growing = setInterval(tend, GROWTH.every)

  const service = createService(fleetd)
  tidy = startTidying(globalThis.gc)
  api = createApi({ service, log, metrics: createMetrics(fleetd, tidy) })
  for (const address of config.api ?? [`unix:${join(dataDir.path, 'fleetd.sock')}`]) await api.listen(address)
  web = await serveWeb({ address: config.web, api, log })
  serf = await serveSerf({ fleetd, service, eventHandlers: () => settings.eventHandler.map(({ text }) => text) }, log)
  dns = await serveDns(fleetd, random, log)
  registry = await serveRegistry(config, {
    store,
    images,
    pushes: notingPushes(pushes, audit),
    trust,
    directory: dataDir.path,
    log,
  })
  return fleetd
}

/** What is pushed to this node's registry is told to its audit log. */
const notingPushes = (pushes: Pushes, audit: Audit): Pushes => ({
  ...pushes,
  async publish(push) {
    await pushes.publish(push)
    const { repository, reference, pushed } = push
    audit.note({
      kind: pushed === null ? 'image-removed' : 'image-added',
      subject: `${repository}:${reference}`,
      by: 'a client of the registry',
      text: `${repository}:${reference} was ${pushed === null ? 'deleted from' : 'pushed to'} the fleet's registries here`,
      detail: pushed === null ? {} : { image: pushed.image },
    })
  },
})

/** `--dns`: answers questions of DNS. Undefined where nobody asked for it. Throws `unavailable`. */
async function serveDns({ config, members, now }: Fleetd, random: Random, log: Logger): Promise<Dns | undefined> {
  if (config.dns === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createDns } = await import('./dns/index.ts')
  const dns = await createDns({ address: config.dns, members: () => members()?.members() ?? [], now, random, log })
  log.info({ address: dns.address }, `DNS is served on ${dns.address}`)
  return dns
}

/** `--oci`: serves clients of registries. Undefined where nobody asked for it. Throws `unavailable`. */
async function serveRegistry(
  { oci }: Config,
  parts: { store: ImageStore; images: Images; pushes: Pushes; trust: Trust; directory: string; log: Logger },
): Promise<Registry | undefined> {
  if (oci === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createRegistry } = await import('./oci/index.ts')
  const { trust, log } = parts
  const registry = await createRegistry({ ...parts, assertMayPush: () => assertMayPush(trust.demand(), trust.self) })
  const address = await registry.listen(oci)
  log.info({ address }, `a registry for container images is at ${address}`)
  return registry
}

/** `--join`: an invite makes this node a member once; addresses are where members are looked for. */
async function joinConfigured(fleetd: Fleetd, log: Logger): Promise<void> {
  for (const target of fleetd.config.join) {
    if (isToken(target)) {
      // On later starts the token has done its work, and may have expired since.
      if (fleetd.trust.authority() === undefined) await fleetd.enter(parseToken(target, fleetd.now()))
      continue
    }
    const members = fleetd.members()
    if (members === undefined)
      log.warn(
        { target },
        `this daemon has no certificate yet, and an address alone does not give it one: it needs an invite (fleetctl invite, on a member)`,
      )
    else members.join([parseAddress(target)])
  }
}

async function loadIntent(dataDir: DataDir, layer: string): Promise<Intent | null> {
  const bytes = await dataDir.intent.load(layer)
  return bytes === undefined ? null : (decode(bytes, LIMITS.record) as Intent)
}
