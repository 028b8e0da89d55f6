import type { Logger } from 'pino'
import {
  type ChunkRef,
  type Digest,
  FleetError,
  type Millis,
  type NodeId,
  openManifest,
  type Random,
  toFleetError,
} from '../../protocol/index.ts'
import {
  type BuildRequest,
  type Built,
  buildImage,
  contentOf,
  type ImageStore,
  type StoredImage,
  unpackFile,
  unpackLayout,
  unpackTree,
} from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import { answerOf } from './describing.ts'
import { download } from './download.ts'
import { createHeardLikes } from './heard-likes.ts'
import { createLearning } from './learning.ts'
import { createPacer } from './pacer.ts'
import { createSharing } from './sharing.ts'
import type { Throttle } from './throttle.ts'
import { createTraffic, type PeerTraffic } from './traffic.ts'
import { serve, type Upload } from './upload.ts'
import { decodeQuestion, encodeDescription, SERVICE } from './wire.ts'

/** How long a part of an image is waited for while nothing of it comes. Milliseconds. */
const PART_STALL = 30_000

export interface FetchProgress {
  /** Bytes that are verified and on disk. */
  readonly done: number
  readonly total: number
  /** Bytes that this host had before. */
  readonly reused: number
  /** Bytes a second, over the last seconds. */
  readonly rate: number
  readonly etaSeconds: number | null
  readonly peers: number
}

export interface Images {
  build(request: BuildRequest, options: { signal: AbortSignal; onProgress?: (bytes: number) => void }): Promise<Built>
  endorse(image: Digest, endorsement: Uint8Array): Promise<void>
  /** Throws `unauthorized` unless an image may be here: a publisher has signed it, or it was pushed to a registry of this fleet. */
  assertTrusted(image: Digest, endorsement: Uint8Array, title: string): void
  /** Makes an image known whose chunks are yet to come. Throws `unauthorized` as `assertTrusted`, and `corrupt`. */
  admit(
    image: Digest,
    parts: { readonly manifest: Uint8Array; readonly index: Uint8Array; readonly endorsement: Uint8Array },
  ): Promise<StoredImage>
  /** A chunk of an image that is known here has come from elsewhere than the network, and is on disk: others may have it. */
  offer(image: StoredImage, index: number): void
  list(): readonly StoredImage[]
  get(image: Digest): StoredImage | undefined
  /** The image that `name:version` or an unambiguous prefix of a digest stands for. Throws `not-found` or `conflict`. */
  resolve(reference: string): StoredImage
  /** Brings an image in, verified. Callers for the same image share one transfer. */
  fetch(
    image: Digest,
    options: { signal: AbortSignal; onProgress?: (progress: FetchProgress) => void },
  ): Promise<StoredImage>
  /** Learns what an image is from those who have it: its manifest and its index, and none of its chunks. */
  learn(image: Digest, signal: AbortSignal): Promise<StoredImage>
  /**
   * Brings in the chunks `from` up to, but without, `to` of an image that is known here. Callers for the same chunks share one transfer.
   * Throws `unavailable` when none has come for half a minute.
   */
  fetchPart(image: StoredImage, part: { from: number; to: number }, signal: AbortSignal): Promise<void>
  /**
   * Brings in these chunks of an image that is known here. Throws `unavailable` when no member that can be reached has it, or none of them has come for
   * half a minute.
   */
  mend(image: StoredImage, indexes: readonly number[], signal: AbortSignal): Promise<void>
  /** How many of an image's chunks are here. */
  heldChunks(image: StoredImage): number
  /** Reads and hashes every chunk. Damaged ones are removed; with `repair` they, and those that are missing, come anew from peers where these have them. */
  verify(
    image: Digest,
    options: { signal: AbortSignal; repair: boolean; onProgress?: (bytes: number) => void },
  ): Promise<{ chunks: number; bad: Digest[]; missing: Digest[]; repaired: number }>
  peers(image: Digest): ReadonlyMap<NodeId, PeerTraffic>
  /** Bytes of chunks from and to all peers since the daemon started. */
  traffic(): { readonly received: number; readonly sent: number }
  unpack(image: Digest, directory: string, signal: AbortSignal): Promise<void>
  /** Images that this node can serve chunks of. */
  holdings(): readonly Digest[]
  stop(): Promise<void>
}

export interface ImagesInit {
  readonly store: ImageStore
  readonly network: Network
  /** Whether a peer is in this node's zone. */
  readonly isNear: (peer: NodeId) => boolean
  /** Limits of what chunks may take on the network. */
  readonly throttle: { readonly up: Throttle; readonly down: Throttle }
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
  /** Members that hold an image or are fetching it. */
  readonly providers: (image: Digest) => readonly NodeId[]
  /** True when a publisher of this fleet has signed the image. */
  readonly endorsed: (image: Digest, endorsement: Uint8Array) => boolean
  /** True when this image may be here without an endorsement: it was pushed to a registry of this fleet. */
  readonly vouched: (image: Digest) => boolean
  readonly onHoldings: () => void
  /** All of an image is here that was not before. */
  readonly onComplete?: (image: Pick<StoredImage, 'digest' | 'manifest'>, how: 'built' | 'fetched') => void
  /** Keeps an image from being collected while the work goes on. */
  readonly during: <T>(image: Digest, work: () => Promise<T>) => Promise<T>
}

export function createImages(init: ImagesInit): Images {
  const { store, network, log } = init
  const traffic = createTraffic()
  const pacer = createPacer(init.now)
  const likes = createHeardLikes(init.now)
  const uploads = new Set<Upload>()
  const stopping = new AbortController()
  const { share, settled } = createSharing<StoredImage, FetchProgress>(stopping.signal)

  network.serve(SERVICE.describe, async (_from, body) => {
    const question = decodeQuestion(body)
    const image = store.image(question.image)
    const told = image !== undefined && (image.endorsement !== undefined || init.vouched(image.digest))
    const manifest = told ? await store.manifestBytes(image.digest) : undefined
    if (manifest === undefined) throw new FleetError('not-found', 'this node does not have that image')
    return encodeDescription({
      manifest,
      endorsement: image!.endorsement ?? new Uint8Array(),
      ...answerOf(image!.index, question),
    })
  })
  network.acceptChannels(SERVICE.chunks, channel => {
    void serve(channel, {
      store,
      traffic,
      throttle: init.throttle.up,
      likes,
      log,
      opened(upload) {
        uploads.add(upload)
        return () => uploads.delete(upload)
      },
    })
  })

  const assertTrusted: Images['assertTrusted'] = (digest, endorsement, title) => {
    if (!init.endorsed(digest, endorsement) && !init.vouched(digest))
      throw new FleetError('unauthorized', `image ${title} is not signed by a publisher of this fleet`)
  }
  const admit: Images['admit'] = async (digest, { manifest, index, endorsement }) => {
    const { name, version } = openManifest(manifest, digest)
    assertTrusted(digest, endorsement, `${name}:${version}`)
    await store.addImage(digest, manifest, index)
    if (init.endorsed(digest, endorsement)) await store.endorse(digest, endorsement)
    init.onHoldings()
    return store.image(digest)!
  }
  const offer: Images['offer'] = (image, index) => {
    for (const upload of uploads) if (upload.image === image.digest) upload.tell(index)
  }

  const learn = createLearning({ ...init, assertTrusted, admit })

  const swarmOf = (image: StoredImage) => ({
    image,
    store,
    network,
    traffic,
    throttle: init.throttle.down,
    pacer,
    providers: init.providers,
    isNear: init.isNear,
    now: init.now,
    random: init.random,
    log,
    stored: (index: number) => offer(image, index),
  })

  const transfer = async (
    digest: Digest,
    say: (progress: FetchProgress) => void,
    signal: AbortSignal,
  ): Promise<StoredImage> => {
    const image = await learn(digest, signal)
    const reused = held(store, image.index)
    const rate = rateMeter(init.now)
    const tell = (done: number, peers: number): void => {
      const speed = rate(done)
      say({
        done,
        total: image.manifest.size,
        reused,
        rate: speed,
        etaSeconds: speed > 0 ? Math.ceil((image.manifest.size - done) / speed) : null,
        peers,
      })
    }
    tell(reused, 0)
    await download({ ...swarmOf(image), progressed: ({ done, peers }) => tell(done, peers) }, signal)
    tell(image.manifest.size, 0)
    if (reused < image.manifest.size) init.onComplete?.(image, 'fetched')
    return image
  }

  /** Some chunks of an image that is known here. Gives up when none has come for a while. */
  const fetchSome = async (
    image: StoredImage,
    what: string,
    wanted: (index: number) => boolean,
    signal: AbortSignal,
  ): Promise<void> => {
    await share(`${image.digest}/${what}`, signal, undefined, async (_, ended) => {
      const stalled = new AbortController()
      const timer = setTimeout(() => stalled.abort(), PART_STALL)
      const either = AbortSignal.any([ended, stalled.signal])
      try {
        await init.during(image.digest, () =>
          download({ ...swarmOf(image), wanted, progressed: () => timer.refresh() }, either),
        )
      } catch (error) {
        if (!stalled.signal.aborted) throw error
        const { name, version } = image.manifest
        throw new FleetError(
          'unavailable',
          `no member that can be reached has what is missing here of image ${name}:${version}`,
          { cause: error },
        )
      } finally {
        clearTimeout(timer)
      }
      return image
    })
  }
  const mend: Images['mend'] = async (image, indexes, signal) => {
    const { name, version } = image.manifest
    if (init.providers(image.digest).every(peer => peer === network.self))
      throw new FleetError('unavailable', `no other member that can be reached has image ${name}:${version}`)
    const some = new Set(indexes)
    await fetchSome(image, `of ${[...some].join(' ')}`, index => some.has(index), signal)
  }

  const images: Images = {
    async build(request, options) {
      const known = store.images().length
      const built = await buildImage(store, request, options)
      if (store.images().length > known) init.onComplete?.(built, 'built')
      init.onHoldings()
      return built
    },
    async endorse(digest, endorsement) {
      if (!init.endorsed(digest, endorsement))
        throw new FleetError(
          'unauthorized',
          `this signature of image ${digest.slice(0, 12)} is not by a publisher of this fleet`,
        )
      await store.endorse(digest, endorsement)
      init.onHoldings()
    },
    assertTrusted,
    admit,
    offer,
    list: () => store.images(),
    get: digest => store.image(digest),
    resolve(reference) {
      const byName = store.images().filter(({ manifest }) => `${manifest.name}:${manifest.version}` === reference)
      const found =
        byName.length > 0
          ? byName
          : /^[0-9a-f]{4,64}$/.test(reference)
            ? store.images().filter(({ digest }) => digest.startsWith(reference))
            : []
      if (found.length === 0)
        throw new FleetError(
          'not-found',
          `no image ${JSON.stringify(reference)} on this host; see "fleetctl image list"`,
        )
      if (found.length > 1)
        throw new FleetError(
          'conflict',
          `${JSON.stringify(reference)} may be any of ${found.map(({ digest }) => digest.slice(0, 12)).join(', ')}; give a digest`,
        )
      return found[0]!
    },
    fetch(digest, { signal, onProgress }) {
      return share(digest, signal, onProgress, (say, ended) => init.during(digest, () => transfer(digest, say, ended)))
    },
    learn: (digest, signal) => learn(digest, AbortSignal.any([signal, stopping.signal])),
    fetchPart: (image, { from, to }, signal) =>
      fetchSome(image, `${from}-${to}`, index => index >= from && index < to, signal),
    mend,
    heldChunks: image => image.index.reduce((sum, ref) => sum + Number(store.has(ref.digest)), 0),
    async verify(digest, { signal, repair, onProgress }) {
      const image = store.image(digest)
      if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
      const bad: Digest[] = []
      const missing: Digest[] = []
      const lacking: number[] = []
      let done = 0
      for (const [at, { digest: chunk, length }] of image.index.entries()) {
        signal.throwIfAborted()
        done += length
        onProgress?.(done)
        try {
          if ((await store.get(chunk)) !== undefined) continue
          missing.push(chunk)
        } catch (error) {
          if (toFleetError(error).code !== 'corrupt') throw error
          bad.push(chunk)
        }
        lacking.push(at)
      }
      if (repair && lacking.length > 0)
        await mend(image, lacking, signal).catch(error => {
          if (toFleetError(error).code !== 'unavailable') throw error
        })
      const repaired = lacking.filter(at => store.has(image.index[at]!.digest)).length
      return { chunks: image.index.length, bad, missing, repaired }
    },
    peers: digest => traffic.of(digest),
    traffic: traffic.total,
    unpack: (digest, directory, signal) =>
      init.during(digest, async () => {
        const image = store.image(digest)
        if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
        const { kind } = image.manifest
        if (kind === 'oci') return unpackLayout(store, image, directory, signal)
        const unpack = kind === 'tree' ? unpackTree : unpackFile
        await unpack(contentOf(store, digest), directory, signal)
      }),
    holdings: () => {
      const all = store.images()
      const pushed = all.filter(image => image.endorsement === undefined && init.vouched(image.digest))
      // Those that a publisher signed come last, where the newest are looked for.
      return [...pushed, ...all.filter(image => image.endorsement !== undefined)].map(image => image.digest)
    },
    async stop() {
      stopping.abort()
      for (const upload of uploads) upload.close()
      await settled()
    },
  }
  return images
}

function held(store: ImageStore, index: readonly ChunkRef[]): number {
  return index.reduce((sum, ref) => sum + (store.has(ref.digest) ? ref.length : 0), 0)
}

/** Bytes a second over the last few seconds. */
function rateMeter(now: () => Millis): (done: number) => number {
  const WINDOW = 3_000
  const samples: { at: number; done: number }[] = []
  return done => {
    const at = now()
    if (samples.length === 0 || at - samples.at(-1)!.at > 50) samples.push({ at, done })
    while (samples.length > 2 && at - samples[0]!.at > WINDOW) samples.shift()
    const first = samples[0]!
    return at > first.at ? Math.round(((done - first.done) / (at - first.at)) * 1000) : 0
  }
}
