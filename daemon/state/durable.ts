import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { diskError } from './disk-error.ts'

/**
 * Replaces a file's content for good: once this resolves, a crash leaves the new content, and before that the old one or
 * the new one, always whole. One write to a path at a time: the caller sees to the order. Throws `no-space` with the old
 * content in place, or `unavailable` naming the path.
 */
export async function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = `${path}${UNFINISHED}`
  try {
    const file = await open(temporary, 'w', mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    // It holds nothing that anybody was promised; on a full disk its space is needed.
    await rm(temporary, { force: true }).catch(() => undefined)
    throw diskError(error, path)
  }
}

/** What the name of a file ends in that a crash may have cut short. */
export const UNFINISHED = '.new'

/** A rename is on disk only once its directory is (open(2), fsync(2)). */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
