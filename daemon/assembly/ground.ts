import { randomInt } from 'node:crypto'
import type { Logger } from 'pino'
import { type Millis, type Random, seededRandom } from '../../protocol/index.ts'
import { type Audit, type Auditor, createAuditor, createWitness, openAudit, type Witness } from '../audit/index.ts'
import { createClock, wholeMillis } from '../clock.ts'
import type { Config } from '../config/index.ts'
import { createHappenings, type Happenings } from '../happenings.ts'
import { createLibp2pNetwork, type Network } from '../network/index.ts'
import type { DataDir } from '../state/index.ts'
import { createTrust, type Labels, type Trust } from '../trust/index.ts'
import { createRoster, type Roster } from './roster.ts'
import { createVitals, type Vitals } from './vitals.ts'

/** What every part of a daemon stands on. */
export interface Ground {
  /** As the daemon was started. */
  readonly config: Config
  readonly version: string
  readonly dataDir: DataDir
  readonly log: Logger
  readonly now: () => Millis
  /** The same clock with fractions, for round trips. */
  readonly exactNow: () => Millis
  readonly random: Random
  readonly trust: Trust
  readonly network: Network
  readonly audit: Audit
  readonly witness: Witness
  readonly auditor: Auditor
  readonly happenings: Happenings
  readonly roster: Roster
  readonly vitals: Vitals
  /** What can change while the daemon runs: the configuration as last reloaded, and what this node says of itself. Written by ./standing.ts alone. */
  readonly present: { settings: Config; labels: Labels }
}

export async function createGround(config: Config, dataDir: DataDir, version: string, log: Logger): Promise<Ground> {
  const exactNow = createClock()
  const now = wholeMillis(exactNow)
  const random = seededRandom(randomInt(2 ** 31))
  const roster = createRoster(random)
  const trust = createTrust({
    key: dataDir.key,
    store: {
      saveMembership: membership => dataDir.fleet.save(membership),
      saveRevocations: revocations => dataDir.revocations.add(revocations),
    },
    membership: await dataDir.fleet.load(),
    revocations: await dataDir.revocations.load(),
    now,
    known: roster.knows,
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
  let witness: Witness | undefined
  const { epoch } = dataDir
  const audit = await openAudit({
    directory: dataDir.path,
    node: network.self,
    version,
    epoch,
    now,
    log,
    onGrown: () => witness?.grown(),
  })
  witness = await createWitness({ network, trust, db: dataDir.db, audit, epoch, knows: roster.knows, now, log })
  witness.grown()
  return {
    config,
    version,
    dataDir,
    log,
    now,
    exactNow,
    random,
    trust,
    network,
    audit,
    witness,
    auditor: createAuditor({ network, trust, audit, witness, alive: roster.alivePeers, now }),
    happenings: createHappenings(error => log.error({ err: error }, 'somebody who listens to what happens failed')),
    roster,
    vitals: createVitals(roster),
    present: {
      settings: config,
      labels: { class: config.class, group: config.group, zone: config.zone, tags: config.tag },
    },
  }
}
