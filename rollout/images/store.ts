import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ChunkRef,
  type Digest,
  FleetError,
  type Manifest,
  openIndex,
  openManifest,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'

declare const verified: unique symbol
/** Bytes that match their digest. Only `verifyChunk` makes one, so an unverified chunk cannot be stored or passed on. */
export interface VerifiedChunk {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly [verified]: true
}

/** Undefined when the bytes are not those that the digest names. */
export function verifyChunk(expected: Digest, bytes: Uint8Array): VerifiedChunk | undefined {
  return sha256(bytes) === expected ? ({ digest: expected, bytes } as VerifiedChunk) : undefined
}

/** An image whose manifest, endorsement and index are here; its chunks may be yet to come. */
export interface StoredImage {
  readonly digest: Digest
  readonly manifest: Manifest
  readonly index: readonly ChunkRef[]
  /** The ENDORSEMENT envelope; absent between build and endorsement. */
  readonly endorsement: Uint8Array | undefined
}

/** Small durable values by name, as the data directory offers them. */
export interface Metadata {
  get(name: string): Promise<Uint8Array | undefined>
  put(name: string, value: Uint8Array): Promise<void>
  list(prefix: string): Promise<[string, Uint8Array][]>
}

/** Chunks in files, named by their digest; everything else in the metadata. What `put` has acknowledged is on disk, whole. */
export interface ImageStore {
  has(chunk: Digest): boolean
  /** Idempotent. Throws `no-space`. */
  put(chunk: VerifiedChunk): Promise<void>
  /** Undefined when it is not here. Throws `corrupt` when the disk gives other bytes back; the file is gone then. */
  get(chunk: Digest): Promise<VerifiedChunk | undefined>
  /** Makes an image known. The manifest's bytes must have this digest, and the index must be the manifest's. */
  addImage(digest: Digest, manifest: Uint8Array, index: Uint8Array): Promise<StoredImage>
  endorse(digest: Digest, endorsement: Uint8Array): Promise<void>
  image(digest: Digest): StoredImage | undefined
  images(): readonly StoredImage[]
  /** The manifest as it travels. */
  manifestBytes(digest: Digest): Promise<Uint8Array | undefined>
}

export async function openStore(directory: string, metadata: Metadata): Promise<ImageStore> {
  const root = join(directory, 'chunks')
  const present = new Set<Digest>()
  const images = new Map<Digest, StoredImage>()
  const underWay = new Map<Digest, Promise<void>>()
  let serial = 0

  for (let byte = 0; byte < 256; byte++) {
    const folder = join(root, byte.toString(16).padStart(2, '0'))
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(folder)) {
      if (/^[0-9a-f]{64}$/.test(name)) present.add(name as Digest)
      else await rm(join(folder, name), { force: true }) // a write that a crash cut short
    }
  }
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

  const pathOf = (chunk: Digest): string => join(root, chunk.slice(0, 2), chunk)
  const write = async ({ digest, bytes }: VerifiedChunk): Promise<void> => {
    serial += 1
    const temporary = join(root, digest.slice(0, 2), `.${serial}.new`)
    try {
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(bytes)
        await file.datasync()
      } finally {
        await file.close()
      }
      await rename(temporary, pathOf(digest))
    } catch (error) {
      await rm(temporary, { force: true })
      throw toFleetError(error)
    }
    present.add(digest)
  }

  return {
    has: chunk => present.has(chunk),
    put(chunk) {
      if (present.has(chunk.digest)) return Promise.resolve()
      let writing = underWay.get(chunk.digest)
      if (writing === undefined) {
        writing = write(chunk).finally(() => underWay.delete(chunk.digest))
        underWay.set(chunk.digest, writing)
      }
      return writing
    },
    async get(chunk) {
      if (!present.has(chunk)) return undefined
      const bytes = await readFile(pathOf(chunk)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw toFleetError(error)
      })
      const good = bytes === undefined ? undefined : verifyChunk(chunk, bytes)
      if (good !== undefined) return good
      present.delete(chunk)
      await rm(pathOf(chunk), { force: true })
      throw new FleetError(
        'corrupt',
        `chunk ${chunk.slice(0, 12)} is damaged on this disk and was removed; "fleetctl image fetch" gets it again`,
      )
    },
    async addImage(digest, manifestBytes, indexBytes) {
      const known = images.get(digest)
      if (known !== undefined) return known
      const manifest = openManifest(manifestBytes, digest)
      const image: StoredImage = { digest, manifest, index: openIndex(indexBytes, manifest), endorsement: undefined }
      await metadata.put(`index/${digest}`, indexBytes)
      await metadata.put(`manifest/${digest}`, manifestBytes)
      images.set(digest, image)
      return image
    },
    async endorse(digest, endorsement) {
      const image = images.get(digest)
      if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
      await metadata.put(`endorsement/${digest}`, endorsement)
      images.set(digest, { ...image, endorsement })
    },
    image: digest => images.get(digest),
    images: () => [...images.values()],
    manifestBytes: digest => metadata.get(`manifest/${digest}`),
  }
}
