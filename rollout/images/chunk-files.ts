import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { type Digest, toFleetError } from '../../protocol/index.ts'

/** Files that are removed at the same time. */
const REMOVERS = 16

/**
 * Chunks in files named by their digest, `chunks/ab/<hex>`, as versions before packs kept them. They are read where they are, and removed;
 * none is added (docs/decisions/0033).
 */
export interface ChunkFiles {
  /** The chunks that are here, and their lengths in bytes. */
  list(lengthOf: (chunk: Digest) => number | undefined): Promise<[Digest, number][]>
  /** Whatever the file holds; undefined when there is none. */
  read(chunk: Digest): Promise<Buffer | undefined>
  remove(chunks: readonly Digest[]): Promise<void>
}

export function chunkFiles(root: string): ChunkFiles {
  const removing = pLimit(REMOVERS)
  const pathOf = (chunk: Digest): string => join(root, chunk.slice(0, 2), chunk)
  return {
    async list(lengthOf) {
      const found: [Digest, number][] = []
      for (const folder of await readdir(root).catch(() => [])) {
        const names = /^[0-9a-f]{2}$/.test(folder) ? await readdir(join(root, folder)) : []
        for (const name of names) {
          const chunk = name as Digest
          if (/^[0-9a-f]{64}$/.test(name)) found.push([chunk, lengthOf(chunk) ?? (await stat(pathOf(chunk))).size])
          else await rm(join(root, folder, name), { force: true }) // a write that a crash cut short
        }
      }
      if (found.length === 0) await rm(root, { recursive: true, force: true })
      return found
    },
    read: chunk =>
      readFile(pathOf(chunk)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw toFleetError(error)
      }),
    async remove(chunks) {
      await Promise.all(chunks.map(chunk => removing(() => rm(pathOf(chunk), { force: true }))))
    },
  }
}
