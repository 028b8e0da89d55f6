import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import {
  type ChunkRef,
  chunks,
  type Digest,
  encodeIndex,
  encodeManifest,
  FleetError,
  type Manifest,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import type { Hold, ImageStore } from './store.ts'
import { tarOf } from './tar.ts'
import { type VerifiedChunk, verifyChunk } from './verified.ts'

export interface BuildRequest {
  /** A directory for kind `tree`, a file for kind `file`. */
  readonly path: string
  readonly name: string
  readonly version: string
  readonly kind: Exclude<Manifest['kind'], 'oci'>
  readonly labels: Manifest['labels']
  readonly provenance: Manifest['provenance']
  readonly requires?: Manifest['requires'] | undefined
  readonly barrier?: boolean | undefined
  readonly reversible?: boolean | undefined
}

export interface Built {
  readonly digest: Digest
  readonly manifest: Manifest
  /** Chunks that the store did not have before. */
  readonly newChunks: number
}

/** Chunk writes under way at once while building: enough to keep the disk busy while the next is hashed. */
const WRITERS = 8

/** Chunks, hashes and stores a directory or file, and makes the image known. The same input gives the same digest anywhere. */
export async function buildImage(
  store: ImageStore,
  request: BuildRequest,
  options: { signal: AbortSignal; onProgress?: (bytes: number) => void },
): Promise<Built> {
  const { path, kind } = request
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new FleetError(
      'bad-input',
      `cannot build an image of ${path}: ${error.code === 'ENOENT' ? "there is no such file or directory on the daemon's host" : toFleetError(error).message}`,
    )
  })
  if (kind === 'tree' && !info.isDirectory())
    throw new FleetError('bad-input', `${path} is no directory; use --kind file for a file`)
  if (kind === 'file' && !info.isFile())
    throw new FleetError('bad-input', `${path} is no file; use --kind tree for a directory`)
  const input =
    kind === 'tree'
      ? tarOf(path, options.signal)
      : createReadStream(path, { highWaterMark: 1024 * 1024, signal: options.signal })
  const hold = store.hold()
  try {
    const { refs, size, newChunks } = await storeContent(store, input, hold, options)
    const index = encodeIndex(refs)
    const manifest: Manifest = {
      format: 1,
      name: request.name,
      version: request.version,
      kind,
      size,
      chunks: refs.length,
      index: sha256(index),
      labels: request.labels,
      provenance: request.provenance,
      requires: request.requires ?? {},
      barrier: request.barrier ?? false,
      reversible: request.reversible ?? true,
    }
    const bytes = encodeManifest(manifest)
    const digest = sha256(bytes)
    await store.addImage(digest, bytes, index)
    return { digest, manifest, newChunks }
  } finally {
    hold.release()
  }
}

/** Content that is in the store. */
export interface Stored {
  readonly refs: readonly ChunkRef[]
  readonly size: number
  /** Chunks that the store did not have before. */
  readonly newChunks: number
}

/** Cuts what comes into chunks and stores them. On disk when it resolves, and kept there for as long as `hold` is. */
export async function storeContent(
  store: ImageStore,
  input: AsyncIterable<Uint8Array>,
  hold: Hold,
  options: { signal: AbortSignal; onProgress?: (bytes: number) => void },
): Promise<Stored> {
  const refs: ChunkRef[] = []
  const writing = new Set<Promise<void>>()
  let newChunks = 0
  let size = 0
  try {
    for await (const bytes of chunks(input)) {
      options.signal.throwIfAborted()
      const digest = sha256(bytes)
      refs.push({ digest, length: bytes.byteLength })
      size += bytes.byteLength
      options.onProgress?.(size)
      hold.keep(digest)
      if (store.has(digest)) continue
      newChunks += 1
      const write = store
        .put(verifyChunk(digest, Uint8Array.from(bytes)) as VerifiedChunk)
        .finally(() => writing.delete(write))
      write.catch(() => undefined) // it is waited for below
      writing.add(write)
      if (writing.size >= WRITERS) await Promise.race(writing)
    }
    await Promise.all(writing)
  } catch (error) {
    await Promise.allSettled(writing)
    throw toFleetError(error)
  }
  return { refs, size, newChunks }
}

/** The content of an image from its chunks, in order. Throws `not-found` at a chunk that is not here. */
export async function* contentOf(store: ImageStore, digest: Digest): AsyncGenerator<Uint8Array> {
  const image = store.image(digest)
  if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
  for (const { digest: chunk } of image.index) {
    const found = await store.get(chunk)
    if (found === undefined)
      throw new FleetError(
        'not-found',
        `chunk ${chunk.slice(0, 12)} of ${image.manifest.name}:${image.manifest.version} is not here; fetch the image first`,
      )
    yield found.bytes
  }
}
