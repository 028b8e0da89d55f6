import { join } from 'node:path'
import { type Digest, decode, encode, LIMITS } from '../../protocol/index.ts'
import type { Intent } from '../../rollout/index.ts'
import { createDriver, type Driver } from '../drivers/index.ts'
import { createEvidence, type EvidenceKeeper } from '../evidence/index.ts'
import type { KeptFor } from '../images/index.ts'
import { createKeeping, type Keeping } from '../keep/index.ts'
import { askForConfirmation, createLayer, createTurns, type Groups, type Layer } from '../rollout/index.ts'
import { createServices, type Services } from '../services/index.ts'
import type { DataDir } from '../state/index.ts'
import type { Ground } from './ground.ts'
import type { Holdings } from './holdings.ts'

/** What a daemon is asked to end with. `restart`: another fleetd is started in its place. */
export interface StopRequest {
  readonly leave: boolean
  readonly restart?: true
}

/** How long a slot is kept from being given up because evidence of it has no copies yet: a node that is alone goes on in the end. Milliseconds. */
const COPY_PATIENCE = 20_000

/** What runs on this host, what it offers, and what watches over it. */
export interface Layers {
  readonly layers: readonly Layer[]
  readonly evidence: EvidenceKeeper
  readonly keeping: Keeping
  readonly services: Services
  /** The images that the layers need, and what for. */
  inUse(): Generator<readonly [Digest, KeptFor]>
  start(): void
  /** `leave`: ends the programs as well. */
  stop(options: { leave: boolean }): Promise<void>
}

/** Resolves when every driver has found what it runs. */
export async function createLayers(
  ground: Ground,
  holdings: Holdings,
  groups: Groups,
  requestStop: (options: StopRequest) => void,
): Promise<Layers> {
  const { config, dataDir, network, roster, vitals, audit, now, random, log } = ground
  const layers: Layer[] = []
  const drivers: Driver[] = []
  const evidence = await createEvidence({
    directory: dataDir.path,
    network,
    alive: roster.alivePeers,
    nameOf: node => (node === network.self ? config.name : (roster.find(node)?.name ?? node)),
    note: audit.note,
    now,
    log,
  })
  const services = createServices({
    config: config.services,
    layer(name) {
      const layer = layers.find(layer => layer.name === name)
      return layer && { health: layer.health().health, state: layer.status().state }
    },
    setting: { cwd: dataDir.path, env: {} },
    onChange: vitals.changed,
  })
  const turns = createTurns()
  for (const [name, layerConfig] of Object.entries(config.layers)) {
    const driver = createDriver(layerConfig, {
      layer: name,
      directory: join(dataDir.path, 'layers', name),
      node: network.self,
      random,
      log: log.child({ layer: name }),
      restart: () => requestStop({ leave: false, restart: true }),
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
          propose: (action, signal) => groups.propose(ground.present.labels.group, action, signal),
          read: signal => groups.read(ground.present.labels.group, signal),
        },
        intent: await loadIntent(dataDir, name),
        turns,
        persistIntent: intent => dataDir.intent.save(name, intent === null ? null : encode(intent)),
        async fetch(image, signal, progress) {
          await holdings.images.fetch(image, {
            signal,
            onProgress: ({ done, total }) => progress(total === 0 ? 1 : done / total),
          })
        },
        unpack: (image, directory, signal) => holdings.images.unpack(image, directory, signal),
        unavailable: () => roster.down(ground.present.labels.group),
        confirm: (_image, signal) => askForConfirmation(network, roster.alivePeers(), signal),
        labelOf(image) {
          const manifest = holdings.images.get(image)?.manifest
          return manifest === undefined ? null : `${manifest.name}:${manifest.version}`
        },
        conditionsOf: image => holdings.images.get(image)?.manifest,
        beside: () =>
          Object.fromEntries(
            layers.flatMap(other => (other.name === name ? [] : [[other.name, other.status().digest]])),
          ),
        onFlip() {
          for (const other of layers) if (other.name !== name) other.besideChanged()
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
        onChange: vitals.changed,
        quiesce: signal => services.quiesce(name, signal),
      }),
    )
  }
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
    store: holdings.store,
    note: audit.note,
    during: holdings.retention.during,
    now,
    random,
    log,
  })
  vitals.from({ layers, images: holdings.images, services, keeping })
  return {
    layers,
    evidence,
    keeping,
    services,
    *inUse() {
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
    },
    start() {
      for (const layer of layers) layer.start()
      services.start()
      keeping.start()
    },
    async stop({ leave }) {
      services.stop()
      await keeping.stop()
      await evidence.stop()
      for (const layer of layers) await layer.stop()
      for (const driver of drivers) await driver.stop({ leaveRunning: !leave })
    },
  }
}

async function loadIntent(dataDir: DataDir, layer: string): Promise<Intent | null> {
  const bytes = await dataDir.intent.load(layer)
  return bytes === undefined ? null : (decode(bytes, LIMITS.record) as Intent)
}
