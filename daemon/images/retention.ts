import type { Logger } from 'pino'
import { type Digest, FleetError, type Millis, toFleetError } from '../../protocol/index.ts'
import { type Collection, createSpace, type ImageStore, type SpaceLimits, type SpaceUse } from '../../rollout/index.ts'
import type { Pins } from './pins.ts'

/** How often chunks that no image names are removed, and the limits looked at, without anybody asking. Milliseconds. */
const COLLECT_EVERY = 600_000

/** Why an image stays. `busy`: it is being fetched, unpacked, verified or exported; `copy`: this node is one of those that keep what was pushed. */
export type KeptFor = 'running' | 'previous' | 'staged' | 'wanted' | 'pinned' | 'busy' | 'copy'

export interface Collected extends Collection {
  readonly space: SpaceUse
}

/** What stays in the store and what goes. */
export interface Retention {
  /** Empty: it goes when its space is needed. */
  why(image: Digest): readonly KeptFor[]
  isPinned(image: Digest): boolean
  pin(image: Digest, pinned: boolean): Promise<void>
  /** Throws `refused` when the image is needed, saying for what. Gives the bytes that came free. */
  remove(image: Digest): Promise<number>
  collect(options: { all: boolean; dryRun: boolean }): Promise<Collected>
  /** Bytes that all chunks take. */
  bytes(): number
  space(): Promise<SpaceUse>
  /** The image stays while the work goes on. */
  during<T>(image: Digest, work: () => Promise<T>): Promise<T>
  stop(): Promise<void>
}

export interface RetentionInit {
  readonly store: ImageStore
  /** Any path on the store's file system. */
  readonly directory: string
  readonly pins: Pins
  readonly limits: () => SpaceLimits
  /** What the parts of the daemon need; undefined while they do not know it yet, at the start. */
  readonly needed: () => Iterable<readonly [Digest, KeptFor]> | undefined
  readonly now: () => Millis
  readonly log: Logger
  readonly onRemoved: (images: readonly Digest[]) => void
}

export function createRetention(init: RetentionInit): Retention {
  const { store, pins, log } = init
  const busy = new Map<Digest, number>()

  const reasons = (): Map<Digest, Set<KeptFor>> | undefined => {
    const needed = init.needed()
    if (needed === undefined) return undefined
    const all = new Map<Digest, Set<KeptFor>>()
    const add = (image: Digest, why: KeptFor): void => {
      const known = all.get(image)
      if (known === undefined) all.set(image, new Set([why]))
      else known.add(why)
    }
    for (const [image, why] of needed) add(image, why)
    for (const image of pins.all()) add(image, 'pinned')
    for (const image of busy.keys()) add(image, 'busy')
    return all
  }
  const space = createSpace({
    store,
    directory: init.directory,
    limits: init.limits,
    roots: reasons,
    now: init.now,
    onCollected({ images, chunks, bytes }) {
      log.info(
        { event: 'images-collected', images, chunks: chunks.length, bytes },
        `${images.length} images and ${chunks.length} chunks were collected, ${bytes} bytes`,
      )
      if (images.length > 0) init.onRemoved(images)
    },
  })
  const why = (image: Digest): readonly KeptFor[] => [...(reasons()?.get(image) ?? [])]
  const tidy = (): void => {
    space
      .collect({})
      .catch(error => log.error({ err: error, reason: toFleetError(error).message }, 'images could not be collected'))
  }
  const timer = setInterval(tidy, COLLECT_EVERY)

  return {
    why,
    isPinned: image => pins.has(image),
    pin: (image, pinned) => pins.set(image, pinned),
    async remove(image) {
      const stored = store.image(image)
      if (stored === undefined) return 0
      const { name, version } = stored.manifest
      if (init.needed() === undefined)
        throw new FleetError('unavailable', 'the daemon is still starting; try again in a moment')
      const kept = why(image)
      if (kept.length > 0)
        throw new FleetError(
          'refused',
          `${name}:${version} is needed on this host: ${kept.map(each => REASON[each]).join(', ')}${kept.includes('pinned') ? `; unpin it first: fleetctl image unpin ${name}:${version}` : ''}`,
          { detail: { kept } },
        )
      await store.remove({ images: [image], chunks: [] })
      init.onRemoved([image])
      return (await space.collect({})).bytes
    },
    async collect(options) {
      const collection = await space.collect(options)
      return { ...collection, space: await space.use() }
    },
    bytes: store.bytes,
    space: space.use,
    async during(image, work) {
      busy.set(image, (busy.get(image) ?? 0) + 1)
      try {
        store.use(image)
        return await work()
      } finally {
        const left = busy.get(image)! - 1
        if (left === 0) busy.delete(image)
        else busy.set(image, left)
        store.use(image)
      }
    },
    async stop() {
      clearInterval(timer)
    },
  }
}

const REASON: Readonly<Record<KeptFor, string>> = {
  running: 'a layer runs it',
  previous: 'a layer ran it before and can go back to it',
  staged: 'it is unpacked in a slot',
  wanted: 'a rollout brings it here',
  pinned: 'it is pinned',
  busy: 'it is being fetched, unpacked, verified or exported',
  copy: 'this node keeps a copy of what was pushed',
}
