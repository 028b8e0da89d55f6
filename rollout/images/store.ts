import {
  type ChunkRef,
  type Digest,
  FleetError,
  type Manifest,
  type Millis,
  openIndex,
  openManifest,
} from '../../protocol/index.ts'
import { openChunks } from './chunks.ts'
import type { Collection, StoreState } from './collect.ts'
import type { Disk } from './packs/disk.ts'
import type { VerifiedChunk } from './verified.ts'

/** An image whose manifest, endorsement and index are here; its chunks may be yet to come. */
export interface StoredImage {
  readonly digest: Digest
  readonly manifest: Manifest
  readonly index: readonly ChunkRef[]
  /** The ENDORSEMENT envelope; absent between build and endorsement. */
  readonly endorsement: Uint8Array | undefined
}

/** Small durable values by name, as the data directory offers them. Writes and removals happen in the order in which they were asked for. */
export interface Metadata {
  get(name: string): Promise<Uint8Array | undefined>
  put(name: string, value: Uint8Array): Promise<void>
  del(name: string): Promise<void>
  list(prefix: string): Promise<[string, Uint8Array][]>
}

/** Chunks that stay although no image names them yet. In memory: what was being made when the process ended is made anew. */
export interface Hold {
  /** To be called before it is asked whether the chunk is here, so that the answer stays true. */
  keep(chunk: Digest): void
  release(): void
}

/** Chunks in packs, named by their digest; everything else in the metadata. What `put` has acknowledged is on disk, whole. */
export interface ImageStore {
  has(chunk: Digest): boolean
  /** Idempotent. The bytes have to stay as they are until it resolves. Throws `no-space` when the disk is full, or the guard lets nothing more in. */
  put(chunk: VerifiedChunk): Promise<void>
  /** Undefined when it is not here. Throws `corrupt` when the disk gives other bytes back; it is not here any more then. */
  get(chunk: Digest): Promise<VerifiedChunk | undefined>
  /**
   * As `get`, for whoever compares it with the digest anyway: here against rot with a checksum alone. In `into` where that is large
   * enough: HEADROOM bytes that may be overwritten, and the chunk behind them.
   */
  read(chunk: Digest, into?: Buffer): Promise<Uint8Array | undefined>
  /** Makes an image known. The manifest's bytes must have this digest, and the index must be the manifest's. */
  addImage(digest: Digest, manifest: Uint8Array, index: Uint8Array): Promise<StoredImage>
  endorse(digest: Digest, endorsement: Uint8Array): Promise<void>
  image(digest: Digest): StoredImage | undefined
  images(): readonly StoredImage[]
  /** The manifest as it travels. */
  manifestBytes(digest: Digest): Promise<Uint8Array | undefined>
  /** Keeps chunks that are on their way into an image until it is released. */
  hold(): Hold
  /** The image is of use just now: others go first. */
  use(digest: Digest): void
  /** Bytes of all chunks. */
  bytes(): number
  /** Bytes on the disk that removed chunks have left behind; `remove` leaves no more than a third of what is needed. */
  waste(): number
  /** Gives nearly all of them back. */
  reclaim(): Promise<void>
  /** What a collection is decided from, as far as the store knows it. */
  state(): Pick<StoreState, 'images' | 'chunks' | 'held'>
  /**
   * Has these images and chunks forgotten: at once for whoever asks, and on the disk when it resolves. An image goes before its chunks,
   * and its manifest before the rest: wherever a crash ends it, what is still known is what it was, and the next collection takes the rest.
   */
  remove(going: Pick<Collection, 'images' | 'chunks'>): Promise<void>
  /** Asked before each write of so many bytes; rejects to refuse it. What it gives is called once they are written, or not. One guard: the latest. */
  guard(allow: Guard): void
  /** Waits for what is being written. Nothing may be asked of it any more. */
  close(): Promise<void>
}

export type Guard = (bytes: number) => Promise<() => void>

export interface StoreOptions {
  /** Fires when a chunk was found damaged; it has been removed. */
  readonly onDamaged?: (chunk: Digest) => void
  readonly now?: () => Millis
  /** Where packs are, in place of a folder of the directory. */
  readonly disk?: Disk
}

/** What the metadata has of an image: it is known while its manifest is there, and `used` is written first and removed last. */
const PARTS = ['manifest', 'index', 'endorsement', 'used'] as const

export async function openStore(
  directory: string,
  metadata: Metadata,
  { onDamaged = () => undefined, now = () => Date.now() as Millis, disk }: StoreOptions = {},
): Promise<ImageStore> {
  const images = new Map<Digest, StoredImage>()
  const usedAt = new Map<Digest, Millis>()
  const holds = new Set<Set<Digest>>()
  let allow: Guard = async () => () => undefined

  for (const [name, manifest] of await metadata.list('manifest/')) {
    const digest = name as Digest
    const index = await metadata.get(`index/${digest}`)
    if (index === undefined) continue
    const opened = openManifest(manifest, digest)
    images.set(digest, {
      digest,
      manifest: opened,
      index: openIndex(index, opened),
      endorsement: await metadata.get(`endorsement/${digest}`),
    })
  }
  for (const [name, value] of await metadata.list('used/')) {
    if (images.has(name as Digest)) usedAt.set(name as Digest, Number(Buffer.from(value).toString()) as Millis)
    // What is left of an image whose removal a crash cut short.
    else for (const part of PARTS) await metadata.del(`${part}/${name}`)
  }
  const refs = new Map<Digest, ChunkRef>()
  for (const { index } of images.values()) for (const ref of index) refs.set(ref.digest, ref)
  const chunks = await openChunks(directory, chunk => refs.get(chunk), {
    onDamaged,
    ...(disk === undefined ? {} : { disk }),
  })
  refs.clear()

  const use = (digest: Digest): void => {
    const at = now()
    usedAt.set(digest, at)
    // Only decides who goes first: an image is no worse off when it is lost.
    metadata.put(`used/${digest}`, Buffer.from(String(at))).catch(() => undefined)
  }
  const isHeld = (chunk: Digest): boolean => {
    for (const hold of holds) if (hold.has(chunk)) return true
    return false
  }

  return {
    has: chunk => chunks.all.has(chunk),
    async put(chunk) {
      if (chunks.all.has(chunk.digest)) return
      const done = await allow(chunk.bytes.byteLength)
      await chunks.put(chunk).finally(done)
    },
    get: chunks.get,
    read: chunks.read,
    async addImage(digest, manifestBytes, indexBytes) {
      const known = images.get(digest)
      if (known !== undefined) return known
      const manifest = openManifest(manifestBytes, digest)
      const image: StoredImage = { digest, manifest, index: openIndex(indexBytes, manifest), endorsement: undefined }
      use(digest)
      await metadata.put(`index/${digest}`, indexBytes)
      await metadata.put(`manifest/${digest}`, manifestBytes)
      images.set(digest, image)
      return image
    },
    async endorse(digest, endorsement) {
      const image = images.get(digest)
      if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
      await metadata.put(`endorsement/${digest}`, endorsement)
      // It may have been removed meanwhile.
      if (images.has(digest)) images.set(digest, { ...image, endorsement })
    },
    image: digest => images.get(digest),
    images: () => [...images.values()],
    manifestBytes: digest => metadata.get(`manifest/${digest}`),
    hold() {
      const kept = new Set<Digest>()
      holds.add(kept)
      return { keep: chunk => void kept.add(chunk), release: () => void holds.delete(kept) }
    },
    use: digest => {
      if (images.has(digest)) use(digest)
    },
    bytes: chunks.bytes,
    waste: chunks.waste,
    reclaim: chunks.reclaim,
    state: () => ({
      images: [...images.values()].map(({ digest, index }) => ({
        digest,
        index,
        usedAt: usedAt.get(digest) ?? (0 as Millis),
      })),
      chunks: chunks.all,
      held: { has: isHeld },
    }),
    async remove({ images: going, chunks: gone }) {
      for (const digest of going) {
        images.delete(digest)
        usedAt.delete(digest)
      }
      const parts = going.flatMap(digest => PARTS.map(part => `${part}/${digest}`))
      await chunks.remove(gone, Promise.all(parts.map(name => metadata.del(name))))
    },
    guard(next) {
      allow = next
    },
    close: chunks.close,
  }
}
