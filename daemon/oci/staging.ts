import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Digest } from '../../protocol/index.ts'
import { syncDirectory } from '../state/index.ts'

/** How long a blob is kept that no manifest has named. Milliseconds. */
const KEEP = 24 * 3_600_000

/** Blobs that were uploaded whole and await the manifest that names them, a file each. They outlive a restart, but not a day. */
export interface Staging {
  /** Where uploads write to; it is empty at each start. */
  readonly uploads: string
  /** The size of a blob; undefined when it is not here. */
  sizeOf(blob: Digest): number | undefined
  /** Takes over a file of `uploads` that is on disk and has this digest. On disk under its new name when it resolves. */
  add(blob: Digest, file: string, size: number): Promise<void>
  /** Both ends included. */
  read(blob: Digest, range?: { start: number; end: number }): Readable
  remove(blob: Digest): Promise<void>
  /** Bytes of all blobs, and how many they are. */
  bytes(): number
  count(): number
  /** Removes what has been here for too long. */
  sweep(now: number): Promise<void>
}

export async function openStaging(directory: string): Promise<Staging> {
  const uploads = join(directory, 'uploads')
  const blobs = join(directory, 'blobs')
  await rm(uploads, { recursive: true, force: true })
  for (const folder of [uploads, blobs]) await mkdir(folder, { recursive: true, mode: 0o700 })
  const known = new Map<Digest, { size: number; since: number }>()
  for (const name of await readdir(blobs)) {
    const { size, mtimeMs } = await stat(join(blobs, name))
    if (/^[0-9a-f]{64}$/.test(name)) known.set(name as Digest, { size, since: mtimeMs })
  }
  const pathOf = (blob: Digest): string => join(blobs, blob)
  const remove = async (blob: Digest): Promise<void> => {
    known.delete(blob)
    await rm(pathOf(blob), { force: true })
  }

  return {
    uploads,
    sizeOf: blob => known.get(blob)?.size,
    async add(blob, file, size) {
      await rename(file, pathOf(blob))
      await syncDirectory(blobs)
      known.set(blob, { size, since: Date.now() })
    },
    read: (blob, range) => createReadStream(pathOf(blob), { highWaterMark: 256 * 1024, ...range }),
    remove,
    bytes: () => [...known.values()].reduce((sum, { size }) => sum + size, 0),
    count: () => known.size,
    async sweep(now) {
      for (const [blob, { since }] of known) if (now - since > KEEP) await remove(blob)
    },
  }
}
