import type { MemberView } from '../../membership/index.ts'
import { type Digest, ENDORSEMENT, isPublisher, open } from '../../protocol/index.ts'
import { type ImageStore, openStore } from '../../rollout/index.ts'
import {
  createImages,
  createRetention,
  createScrub,
  createThrottles,
  type Images,
  type KeptFor,
  openPins,
  type Retention,
  type Scrub,
} from '../images/index.ts'
import { addressed } from '../network/index.ts'
import { createKeeper, createPushes, type Keeper, type Pushes } from '../pushes/index.ts'
import type { Ground } from './ground.ts'

/** The images that this node has, gets, gives and gives up. */
export interface Holdings {
  readonly store: ImageStore
  readonly images: Images
  readonly retention: Retention
  readonly scrub: Scrub
  readonly pushes: Pushes
  stop(): Promise<void>
}

/** `inUse`: what the layers need; undefined until every layer has found what it runs, and nothing is given up before. */
export async function createHoldings(
  ground: Ground,
  inUse: () => Iterable<readonly [Digest, KeptFor]> | undefined,
): Promise<Holdings> {
  const { dataDir, network, trust, roster, vitals, audit, now, random, log } = ground
  let scrub: Scrub | undefined
  const store = await openStore(dataDir.path, dataDir.db, { onDamaged: chunk => scrub?.found(chunk) })
  function* needed(layers: Iterable<readonly [Digest, KeptFor]>): Generator<readonly [Digest, KeptFor]> {
    yield* layers
    for (const image of keeper.kept()) yield [image, 'copy']
  }
  const retention = createRetention({
    store,
    directory: dataDir.path,
    pins: await openPins(dataDir),
    limits: () => ground.present.settings,
    needed() {
      const layers = inUse()
      return layers && needed(layers)
    },
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
      vitals.changed()
    },
  })
  const images: Images = createImages({
    store,
    // A provider need be no neighbour of ours, nor somebody whom we can dial.
    network: addressed(network, node => roster.find(node)?.addresses ?? []),
    // One of whom it is not known yet is taken to be here.
    isNear: peer => (roster.find(peer)?.zone ?? ground.present.labels.zone) === ground.present.labels.zone,
    throttle: await createThrottles({
      db: dataDir.db,
      limits: () => ground.present.settings,
      zone: () => ground.present.labels.zone,
      zoneOf: peer => roster.find(peer)?.zone ?? '',
      now,
      log,
    }),
    now,
    random,
    log,
    providers(image) {
      const holders = keeper.holders(image)
      return roster
        .all()
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
    onHoldings: vitals.changed,
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
      vitals.changed()
      keeper.consider()
    },
  })
  const keeper: Keeper = createKeeper({
    self: network.self,
    pushes,
    images,
    candidates: () =>
      roster
        .all()
        .filter(({ status, class: kind }) => status === 'alive' && kind !== 'intermittent')
        .map(({ id }) => id),
    now,
    log,
  })
  return {
    store,
    images,
    retention,
    scrub,
    pushes,
    async stop() {
      await keeper.stop()
      await pushes.stop()
      await scrub.stop()
      await retention.stop()
      await images.stop()
    },
  }
}

const reachable = (member: MemberView): boolean => member.status === 'alive' || member.status === 'suspect'
