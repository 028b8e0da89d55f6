import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { type Digest, FleetError, sha256, toFleetError } from '../../protocol/index.ts'

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

/** Chunks in files, named by their digest: `chunks/ab/<hex>`. What `put` has acknowledged is on disk, whole. */
export interface ChunkFiles {
  /** The chunks that are here, and their sizes in bytes. */
  readonly sizes: ReadonlyMap<Digest, number>
  /** Bytes of all chunks. */
  bytes(): number
  /** Idempotent. Throws `no-space`. */
  put(chunk: VerifiedChunk): Promise<void>
  /** Undefined when it is not here. Throws `corrupt` when the disk gives other bytes back; the file is gone then. */
  get(chunk: Digest): Promise<VerifiedChunk | undefined>
  /**
   * They are not here any more from now on, and off the disk when it resolves, which they leave only once `after` has resolved. What a
   * crash leaves of them is here again at the next start.
   */
  remove(chunks: readonly Digest[], after: Promise<unknown>): Promise<void>
}

/** Files that are removed at the same time. */
const REMOVERS = 16

/** `lengthOf`: what a chunk's length is known to be from an index, which saves a look at its file. */
export async function openChunkFiles(
  root: string,
  lengthOf: (chunk: Digest) => number | undefined,
): Promise<ChunkFiles> {
  const sizes = new Map<Digest, number>()
  /** Writes and removals under way, by chunk: what comes next for the same chunk waits for them. */
  const underWay = new Map<Digest, Promise<void>>()
  const removing = pLimit(REMOVERS)
  let bytes = 0
  let serial = 0
  const pathOf = (chunk: Digest): string => join(root, chunk.slice(0, 2), chunk)
  const add = (chunk: Digest, size: number): void => {
    if (sizes.has(chunk)) return
    sizes.set(chunk, size)
    bytes += size
  }
  const drop = (chunk: Digest): void => {
    bytes -= sizes.get(chunk) ?? 0
    sizes.delete(chunk)
  }

  await mkdir(root, { recursive: true, mode: 0o700 })
  const folders = new Set(await readdir(root))
  const unnamed: Digest[] = []
  for (let byte = 0; byte < 256; byte++) {
    const folder = byte.toString(16).padStart(2, '0')
    if (!folders.has(folder)) {
      await mkdir(join(root, folder), { mode: 0o700 })
      continue
    }
    for (const name of await readdir(join(root, folder))) {
      if (!/^[0-9a-f]{64}$/.test(name)) {
        await rm(join(root, folder, name), { force: true }) // a write that a crash cut short
        continue
      }
      const length = lengthOf(name as Digest)
      if (length === undefined) unnamed.push(name as Digest)
      else add(name as Digest, length)
    }
  }
  for (const chunk of unnamed) add(chunk, (await stat(pathOf(chunk))).size)

  const write = async ({ digest, bytes: content }: VerifiedChunk): Promise<void> => {
    serial += 1
    const temporary = join(root, digest.slice(0, 2), `.${serial}.new`)
    try {
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(content)
        await file.datasync()
      } finally {
        await file.close()
      }
      await rename(temporary, pathOf(digest))
    } catch (error) {
      await rm(temporary, { force: true })
      throw toFleetError(error)
    }
    add(digest, content.byteLength)
  }
  /** One piece of work on a chunk's file at a time, in the order in which it was asked for. */
  const inTurn = (chunk: Digest, work: () => Promise<void>): Promise<void> => {
    const before = underWay.get(chunk)
    const mine = before === undefined ? work() : before.then(work, work)
    const owned = mine.finally(() => {
      if (underWay.get(chunk) === owned) underWay.delete(chunk)
    })
    underWay.set(chunk, owned)
    return owned
  }

  return {
    sizes,
    bytes: () => bytes,
    put: chunk =>
      sizes.has(chunk.digest)
        ? Promise.resolve()
        : inTurn(chunk.digest, () => (sizes.has(chunk.digest) ? Promise.resolve() : write(chunk))),
    async get(chunk) {
      if (!sizes.has(chunk)) return undefined
      const content = await readFile(pathOf(chunk)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw toFleetError(error)
      })
      const good = content === undefined ? undefined : verifyChunk(chunk, content)
      if (good !== undefined) return good
      // It was collected while it was being read.
      if (!sizes.has(chunk)) return undefined
      drop(chunk)
      await inTurn(chunk, () => rm(pathOf(chunk), { force: true }))
      throw new FleetError(
        'corrupt',
        `chunk ${chunk.slice(0, 12)} is damaged on this disk and was removed; "fleetctl image verify --repair" gets it from another member again`,
      )
    },
    async remove(chunks, after) {
      const going = chunks.filter(chunk => sizes.has(chunk))
      for (const chunk of going) drop(chunk)
      // Queued at once: a chunk that is put again meanwhile is written after its old file is gone.
      const removed = going.map(chunk =>
        inTurn(chunk, () => after.then(() => removing(() => rm(pathOf(chunk), { force: true })))),
      )
      await Promise.all([after, Promise.all(removed)])
    },
  }
}
