import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ChunkRef,
  type Digest,
  encodeIndex,
  encodeManifest,
  FleetError,
  type Manifest,
  sha256,
} from '../../protocol/index.ts'
import { parseDocument } from './oci-document.ts'
import type { ImageStore, StoredImage } from './store.ts'

/** A blob that is to be part of an image: its digest, and the chunks that it consists of. */
export interface Blob {
  readonly digest: Digest
  readonly refs: readonly ChunkRef[]
}

/** Where a blob lies among the chunks of its image: those with index `from` up to, but without, `to`. */
export interface Span {
  readonly digest: Digest
  readonly size: number
  readonly from: number
  readonly to: number
}

/** Makes an image of kind `oci` known, of blobs whose chunks are in the store. The first is the OCI manifest or index that it is. */
export async function addOciImage(
  store: ImageStore,
  name: string,
  version: string,
  blobs: readonly Blob[],
): Promise<StoredImage> {
  const refs = blobs.flatMap(blob => blob.refs)
  const index = encodeIndex(refs)
  const sizeOf = (of: readonly ChunkRef[]): number => of.reduce((sum, { length }) => sum + length, 0)
  const manifest: Manifest = {
    format: 1,
    name,
    version,
    kind: 'oci',
    blobs: blobs.map(blob => [blob.digest, sizeOf(blob.refs)]),
    size: sizeOf(refs),
    chunks: refs.length,
    index: sha256(index),
    labels: {},
    provenance: {},
    requires: {},
    barrier: false,
    reversible: true,
  }
  const bytes = encodeManifest(manifest)
  return store.addImage(sha256(bytes), bytes, index)
}

/** The blobs of an image, in order. Throws `corrupt` when one does not end where a chunk does: it has been put together wrongly. */
export function spansOf({ manifest, index }: Pick<StoredImage, 'manifest' | 'index'>): Span[] {
  let at = 0
  return (manifest.blobs ?? []).map(([digest, size]) => {
    const from = at
    let left = size
    while (left > 0 && at < index.length) left -= index[at++]!.length
    if (left !== 0)
      throw new FleetError(
        'corrupt',
        `blob ${digest.slice(0, 12)} of ${manifest.name}:${manifest.version} does not end with a chunk`,
      )
    return { digest, size, from, to: at }
  })
}

/**
 * Writes an image of kind `oci` into an empty directory as an OCI image layout (image-spec, image-layout.md), which skopeo and podman
 * read as `oci:DIRECTORY`, and has it on disk when it resolves. Throws `corrupt` when a blob is not what its digest says.
 */
export async function unpackLayout(
  store: ImageStore,
  image: StoredImage,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const folder = join(directory, 'blobs/sha256')
  await mkdir(folder, { recursive: true })
  const spans = spansOf(image)
  for (const span of spans) {
    const hash = createHash('sha256')
    await write(join(folder, span.digest), async function* () {
      for (const ref of image.index.slice(span.from, span.to)) {
        signal.throwIfAborted()
        const chunk = await store.get(ref.digest)
        if (chunk === undefined)
          throw new FleetError('not-found', `chunk ${ref.digest.slice(0, 12)} is not here; fetch the image first`)
        hash.update(chunk.bytes)
        yield chunk.bytes
      }
    })
    if (hash.digest('hex') !== span.digest)
      throw new FleetError(
        'corrupt',
        `blob ${span.digest.slice(0, 12)} of ${image.manifest.name}:${image.manifest.version} is not what it is said to be`,
      )
  }
  for (const [path, content] of await layoutFiles(store, image)) await write(join(directory, path), [content])
  for (const path of [folder, join(directory, 'blobs'), directory]) await sync(path)
}

/** The files of the layout that are no blobs. */
export async function layoutFiles(store: ImageStore, image: StoredImage): Promise<[string, Uint8Array][]> {
  const { digest, size, from, to } = spansOf(image)[0]!
  const root: Uint8Array[] = []
  for (const ref of image.index.slice(from, to)) {
    const chunk = await store.get(ref.digest)
    if (chunk === undefined)
      throw new FleetError('not-found', `chunk ${ref.digest.slice(0, 12)} is not here; fetch the image first`)
    root.push(chunk.bytes)
  }
  const { mediaType } = parseDocument(Buffer.concat(root))
  const annotations = { 'org.opencontainers.image.ref.name': image.manifest.version }
  const manifests = [{ mediaType, digest: `sha256:${digest}`, size, annotations }]
  return [
    ['oci-layout', Buffer.from(JSON.stringify({ imageLayoutVersion: '1.0.0' }))],
    ['index.json', Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }))],
  ]
}

/** Writes a new file that others may read, down to the disk. */
async function write(path: string, content: Iterable<Uint8Array> | (() => AsyncIterable<Uint8Array>)): Promise<void> {
  const file = await open(path, 'wx', 0o644)
  try {
    for await (const piece of typeof content === 'function' ? content() : content) await file.writeFile(piece)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
