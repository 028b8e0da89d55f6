import { chmod, lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const NO_WRITE = 0o7555

/**
 * Takes away the right to write in a directory tree and has all of it on disk when it resolves. What is in a slot is not
 * changed: it is replaced. Rejects with an AbortError when aborted.
 */
export const seal = (path: string, signal: AbortSignal): Promise<void> =>
  walk(path, 'children-first', async (entry, kind, mode) => {
    signal.throwIfAborted()
    // What its owner cannot read could be neither run, checked nor synced.
    await chmod(entry, (mode & NO_WRITE) | (kind === 'directory' ? 0o500 : 0o400))
    if (kind !== 'other') await sync(entry)
  })

/** Makes a sealed tree removable. Resolves where there is none. */
export const unseal = (path: string): Promise<void> =>
  walk(path, 'parent-first', async (entry, kind, mode) => {
    if (kind === 'directory') await chmod(entry, mode | 0o700)
  })

/** Gives the owner the right to write in a directory tree: the opposite of `seal`, for a hotfix. */
export const makeWritable = (path: string): Promise<void> =>
  walk(path, 'parent-first', async (entry, kind, mode) => {
    if (kind !== 'other') await chmod(entry, (mode & 0o7777) | (kind === 'directory' ? 0o700 : 0o200))
  })

type Kind = 'directory' | 'file' | 'other'

/** Visits everything but symbolic links, which have no mode of their own and whose targets are not ours. */
async function walk(
  path: string,
  order: 'children-first' | 'parent-first',
  visit: (path: string, kind: Kind, mode: number) => Promise<void>,
): Promise<void> {
  const info = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (info === undefined || info.isSymbolicLink()) return
  const kind = info.isDirectory() ? 'directory' : info.isFile() ? 'file' : 'other'
  if (kind !== 'directory') return visit(path, kind, info.mode)
  if (order === 'parent-first') await visit(path, kind, info.mode)
  for (const name of await readdir(path)) await walk(join(path, name), order, visit)
  if (order === 'children-first') await visit(path, kind, info.mode)
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
