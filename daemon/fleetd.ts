import type { Logger } from 'pino'
import { isEventFrame } from '../membership/index.ts'
import {
  type DocumentKind,
  foundFleet,
  type InviteToken,
  isToken,
  type Millis,
  type NodeId,
  parseToken,
  type Recovery,
  type RecoveryDraft,
  type Statement,
} from '../protocol/index.ts'
import type { ImageStore } from '../rollout/index.ts'
import {
  createGround,
  createGroupLedgers,
  createHoldings,
  createLayers,
  createStanding,
  type Doors,
  type Layers,
  openDoors,
  type StopRequest,
  tendVoters,
} from './assembly/index.ts'
import { type Audit, type Auditor, lastNoted } from './audit/index.ts'
import { type Checkup, createCheckup } from './checkup/index.ts'
import type { Config } from './config/index.ts'
import type { Events } from './events/index.ts'
import type { EvidenceKeeper } from './evidence/index.ts'
import { createHandlers, type Handlers } from './handlers/index.ts'
import type { Happenings } from './happenings.ts'
import type { Images, Retention, Scrub } from './images/index.ts'
import { createKeepOrders, type Keeping, type KeepOrders } from './keep/index.ts'
import type { Ledgers, Survey } from './ledgers.ts'
import type { LogTap } from './log.ts'
import type { Members } from './members/index.ts'
import { type Network, parseAddress } from './network/index.ts'
import { operatorKey } from './operator-key.ts'
import type { Pushes } from './pushes/index.ts'
import { createQueries, type Queries } from './queries/index.ts'
import {
  assertLost,
  createReboots,
  createRollouts,
  type Groups,
  type Plans,
  type Reboots,
  type Rollouts,
  recoveryOf,
} from './rollout/index.ts'
import type { DataDir } from './state/index.ts'
import { dispatchEvents } from './topic-events.ts'
import type { Labels, Trust } from './trust/index.ts'

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
  readonly reboots: Reboots
  readonly queries: Queries
  readonly checkup: Checkup
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
  acceptRecovery(statement: Statement<Recovery>): void
  /** What an operator may sign so that a ledger goes on without voters that are lost. Throws `refused` while a majority answers. */
  draftRecovery(group: string, signal: AbortSignal): Promise<RecoveryDraft>
  /** Throws `refused` while a majority of a ledger's voters answers. */
  assertLost(group: string, signal: AbortSignal): Promise<void>
  /** Passes a document on to all members, and to its own disk. */
  spread(kind: DocumentKind, statement: Uint8Array): Promise<void>
  labels(): Labels
  /** Takes up those settings of the next configuration that can change while it runs (RELOADABLE). Throws `refused` when the invite forbids a tag. */
  reload(next: Config): void
  api(): readonly string[]
  /** SHA-256 of the certificate that clients over TLS are shown. */
  apiFingerprint(): string | undefined
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
  onStopRequest: (options: StopRequest) => void,
): Promise<Fleetd> {
  const ground = await createGround(config, dataDir, version, log)
  const { trust, network, audit, witness, auditor, happenings, roster, present, now, random } = ground
  const labels = (): Labels => present.labels

  const queries = createQueries({
    network,
    trust,
    epoch: dataDir.epoch,
    members: roster.members,
    tell: query => happenings.tell({ type: 'query', query }),
    now,
    random,
    log,
  })
  const handlers = await createHandlers({
    config,
    happenings,
    store: dataDir,
    self: () => ({
      id: network.self,
      name: config.name,
      ...labels(),
      tags: roster.members()?.record().tags ?? labels().tags,
    }),
    nameOf: node => roster.find(node)?.name,
    now,
    log,
  })
  let host: Layers | undefined
  const holdings = await createHoldings(ground, () => host?.inUse())
  const { plans, ledgers, groups } = createGroupLedgers(ground, () => rollouts)
  host = await createLayers(ground, holdings, groups, onStopRequest)
  const { layers, services, keeping, evidence } = host
  const keepOrders = await createKeepOrders({ network, trust, store: dataDir, keeping, note: audit.note, now })
  const rollouts = createRollouts({
    trust,
    network,
    groups,
    plans,
    layers,
    members: roster,
    group: () => labels().group,
    spread: plan => roster.spread('plan', plan.bytes),
    note: audit.note,
    noted: await lastNoted(audit),
    now,
    random,
    log,
  })
  const reboots = createReboots({
    node: network.self,
    zone: config.zone,
    group: () => labels().group,
    groups,
    down: () => roster.down(labels().group),
    layers,
    note: audit.note,
    now,
    log,
  })
  const checkup = createCheckup({
    network,
    members: roster.all,
    disk: async () => ({ path: dataDir.path, ...(await holdings.retention.space()) }),
    healthScore: () => roster.members()?.stats().healthScore ?? 0,
    damagedChunks: () => holdings.scrub.stats().lacking,
    twin: () => roster.members()?.twin() ?? null,
    now,
    wall: Date.now,
    random,
  })
  const standing = createStanding(ground, { handlers, groups, ledgers, rollouts, services })
  const survey = async (group: string, signal: AbortSignal): Promise<Survey> =>
    ledgers.survey(group, await groups.gather(group, signal), signal)
  let doors: Doors | undefined
  let untend: (() => void) | undefined

  const fleetd: Fleetd = {
    config,
    version,
    startedAt: now(),
    dataDir,
    trust,
    network,
    store: holdings.store,
    images: holdings.images,
    pushes: holdings.pushes,
    retention: holdings.retention,
    scrub: holdings.scrub,
    ledgers,
    groups,
    plans,
    rollouts,
    reboots,
    queries,
    checkup,
    happenings,
    logTap,
    handlers,
    audit,
    auditor,
    keeping,
    keepOrders,
    evidence,
    members: roster.members,
    events: standing.events,
    enter: standing.enter,
    acceptPolicy: standing.acceptPolicy,
    acceptRevocation: standing.acceptRevocation,
    acceptRecovery: standing.acceptRecovery,
    async draftRecovery(group, signal) {
      const found = await survey(group, signal)
      const recovery = recoveryOf(found, { members: roster.all, plans, now, random })
      return { recovery, silent: [...found.silent].map(([node, reason]) => ({ node, reason })) }
    },
    assertLost: async (group, signal) => assertLost(await survey(group, signal)),
    spread: roster.spread,
    labels,
    reload: standing.reload,
    api: () => doors?.api() ?? [],
    apiFingerprint: () => doors?.apiFingerprint(),
    web: () => doors?.web(),
    now,
    async stop({ leave }) {
      untend?.()
      const handled = handlers.stop()
      if (leave) await roster.members()?.leave()
      await doors?.close()
      queries.stop()
      groups.stop()
      rollouts.stop()
      await standing.close()
      await host.stop({ leave })
      await holdings.stop()
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
      roster.members()?.events.linkUp(peer)
      standing.events()?.network.linkUp(peer)
      holdings.pushes.linkUp(peer)
      witness.linkUp()
    },
    linkDown(peer, cause) {
      roster.members()?.events.linkDown(peer, cause)
      standing.events()?.network.linkDown(peer)
    },
    frame: (peer, frame) =>
      isEventFrame(frame) ? standing.events()?.network.frame(peer, frame) : roster.members()?.events.frame(peer, frame),
    heard: peer => roster.members()?.events.heard(peer),
    discovered: (peer, addresses) => roster.members()?.events.discovered(peer, addresses),
    moved: addresses => roster.members()?.changeRecord({ addresses: [...addresses] }),
    gossip: (topic, message, from) =>
      topic === 'members'
        ? (roster.members()?.gossip(message) ?? 'ignore')
        : topic === 'rollouts'
          ? groups.gossip(message)
          : dispatchEvents(message, {
              ...queries.gossip,
              push: holdings.pushes.gossip,
              audit: witness.gossip,
              event: statement => standing.events()?.gossip(statement, from) ?? 'ignore',
            }),
  })
  if (trust.authority() === undefined && config.init) {
    await standing.enter(foundFleet(await operatorKey(config.operatorKey), network.self, now()))
    log.info(
      { fleet: trust.demand().fleet, operatorKey: config.operatorKey },
      'a new fleet was made; its operator key is all that can change it: keep it safe',
    )
  } else if (trust.authority() !== undefined) await standing.takePart()
  await joinConfigured(fleetd, log)
  host.start()
  const isRevoked = (node: NodeId): boolean => trust.authority()?.revoked.has(node) === true
  untend = tendVoters({ self: network.self, roster, ledgers, groups, isRevoked, now, log })
  const eventHandlers = (): readonly string[] => present.settings.eventHandler.map(({ text }) => text)
  doors = await openDoors(fleetd, { eventHandlers, random, log })
  return fleetd
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
