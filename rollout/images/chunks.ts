import { join } from 'node:path'
import { type ChunkRef, type Digest, FleetError } from '../../protocol/index.ts'
import { chunkFiles } from './chunk-files.ts'
import { type Disk, folder } from './packs/disk.ts'
import { openPacks } from './packs/packs.ts'
import { createPlaces } from './packs/places.ts'
import { type VerifiedChunk, verifyChunk } from './verified.ts'

/** All chunks of a store, named by their digest. What `put` has acknowledged is on the disk, whole. */
export interface Chunks {
  /** The chunks that are here, and their lengths in bytes. */
  readonly all: ReadonlyMap<Digest, { readonly length: number }>
  /** Bytes of all chunks. */
  bytes(): number
  /** Bytes on the disk that chunks have left behind. */
  waste(): number
  /** Gives nearly all of them back. */
  reclaim(): Promise<void>
  /** Idempotent. The bytes have to stay as they are until it resolves. Throws `no-space`. */
  put(chunk: VerifiedChunk): Promise<void>
  /** Undefined when it is not here. Throws `corrupt` when the disk gives other bytes back; it is not here any more then. */
  get(chunk: Digest): Promise<VerifiedChunk | undefined>
  /** As `get`, for whoever compares it with the digest anyway: against rot it has a checksum alone. In `into` where that is large enough: HEADROOM and its length. */
  read(chunk: Digest, into?: Buffer): Promise<Buffer | undefined>
  /**
   * They are not here any more from now on, and off the disk, or waste on it, when it resolves, which they leave only once `after` has
   * resolved. What a crash leaves of them is here again at the next start.
   */
  remove(chunks: readonly Digest[], after: Promise<unknown>): Promise<void>
  close(): Promise<void>
}

export { HEAD as HEADROOM } from './packs/format.ts'

/** `refOf`: what an index says of a chunk, which saves a look at its file, and a copy of its digest in memory. */
export async function openChunks(
  directory: string,
  refOf: (chunk: Digest) => ChunkRef | undefined,
  { onDamaged, disk }: { onDamaged: (chunk: Digest) => void; disk?: Disk },
): Promise<Chunks> {
  const places = createPlaces()
  const known = (chunk: Digest): Digest => refOf(chunk)?.digest ?? chunk
  const packs = await openPacks({
    disk: disk ?? (await folder(join(directory, 'packs'))),
    places,
    known,
    onDamaged,
  })
  const files = chunkFiles(join(directory, 'chunks'))
  for (const [chunk, length] of await files.list(each => refOf(each)?.length))
    if (places.get(chunk) === undefined) places.set(known(chunk), { length })

  const isInFile = (chunk: Digest): boolean => places.get(chunk) !== undefined && !packs.has(chunk)
  const lose = async (chunk: Digest): Promise<never> => {
    if (packs.has(chunk)) packs.drop(chunk)
    else {
      places.delete(chunk)
      await files.remove([chunk])
    }
    onDamaged(chunk)
    throw new FleetError(
      'corrupt',
      `chunk ${chunk.slice(0, 12)} is damaged on this disk and was removed; "fleetctl image verify --repair" gets it from another member again`,
    )
  }
  /** What the disk gives, compared with nothing where it is in a file of its own. */
  const raw = async (chunk: Digest, into?: Buffer): Promise<Buffer | undefined> => {
    if (packs.has(chunk)) {
      const content = await packs.read(chunk, into)
      return content === 'damaged' ? lose(chunk) : content
    }
    const place = places.get(chunk)
    if (place === undefined) return undefined
    const content = await files.read(chunk)
    // Undefined also where it was removed while it was being read.
    if (content !== undefined || places.get(chunk) !== place) return content
    return lose(chunk)
  }
  const get: Chunks['get'] = async chunk => {
    const content = await raw(chunk)
    if (content === undefined) return undefined
    return verifyChunk(chunk, content) ?? (places.get(chunk) !== undefined ? lose(chunk) : undefined)
  }

  return {
    all: places.all,
    bytes: places.bytes,
    waste: packs.waste,
    reclaim: packs.reclaim,
    put: packs.put,
    get,
    async read(chunk, into) {
      // A file of its own has no checksum.
      if (isInFile(chunk)) return (await get(chunk))?.bytes as Buffer | undefined
      return raw(chunk, into)
    },
    async remove(chunks, after) {
      const inFiles = chunks.filter(isInFile)
      for (const chunk of inFiles) places.delete(chunk)
      await Promise.all([packs.remove(chunks, after), after.then(() => files.remove(inFiles))])
    },
    close: packs.close,
  }
}
