import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The chunks on the disk of a daemon, which may be dead: bytes of those that are what their names say, and the names of those that are not. */
export function storedChunks(dataDir: string): { good: number; wrong: string[] } {
  const wrong: string[] = []
  let good = 0
  for (const entry of readdirSync(dataDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/^[0-9a-f]{64}$/.test(entry.name)) continue
    try {
      const content = readFileSync(join(entry.parentPath, entry.name))
      if (createHash('sha256').update(content).digest('hex') === entry.name) good += content.byteLength
      else wrong.push(entry.name)
    } catch {
      // It was renamed or removed between the listing and the look.
    }
  }
  return { good, wrong }
}
