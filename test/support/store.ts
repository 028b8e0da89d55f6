import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HEAD, nextRecord, readHead } from '../../rollout/images/packs/format.ts'

/** The chunks on the disk of a daemon, which may be dead: those that are what their names say, in bytes and by name, and the names of those that are not. */
export function storedChunks(dataDir: string): { good: number; names: Set<string>; wrong: string[] } {
  const lengths = new Map<string, number>()
  const wrong: string[] = []
  const look = (name: string, content: Uint8Array): void => {
    if (createHash('sha256').update(content).digest('hex') === name) lengths.set(name, content.byteLength)
    else wrong.push(name)
  }
  for (const name of readdirSync(join(dataDir, 'packs'))) {
    const pack = readFileSync(join(dataDir, 'packs', name))
    for (let at = nextRecord(pack, 0); at !== -1; at = nextRecord(pack, at)) {
      const head = readHead(pack, at)
      // A record that is being written has not got all of its bytes yet.
      if (head !== undefined && at + HEAD + head.length <= pack.byteLength) {
        look(head.digest, pack.subarray(at + HEAD, at + HEAD + head.length))
        at += HEAD + head.length
      } else at += 1
    }
  }
  const good = [...lengths.values()].reduce((sum, length) => sum + length, 0)
  return { good, names: new Set(lengths.keys()), wrong }
}

/** Flips a bit of a chunk on the disk of a daemon, behind its back: of the one with this digest, or of any. Gives its digest. */
export function rotChunk(dataDir: string, wanted?: string): string {
  for (const name of readdirSync(join(dataDir, 'packs'))) {
    const path = join(dataDir, 'packs', name)
    const pack = readFileSync(path)
    for (let at = nextRecord(pack, 0); at !== -1; at = nextRecord(pack, at + 1)) {
      const head = readHead(pack, at)
      if (head === undefined || head.digest !== (wanted ?? head.digest)) continue
      pack[at + HEAD + 9]! ^= 1
      writeFileSync(path, pack)
      return head.digest
    }
  }
  throw new Error(`no chunk ${wanted ?? ''} in the packs of ${dataDir}`)
}
