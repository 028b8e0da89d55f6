import { mkdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { FleetError, type KeyPair } from '../../protocol/index.ts'
import type { Database } from './database.ts'
import { diskError } from './disk-error.ts'
import { type Files, openFiles } from './files.ts'
import { openIdentity, readFormat } from './identity.ts'
import { lock } from './lock.ts'
import { createStores, FOLDERS, type Stores } from './stores.ts'

/**
 * Everything that a daemon keeps:
 *
 *   format        the version of this layout; written last when the directory is made
 *   node.key      the 32-byte seed of the node's key
 *   state/        what this node alone can know, a file each with a checksum (Files, Stores), `epoch` among them
 *   db/           what others can give again, in LevelDB; its lock is the directory's lock
 *   events/       user events: what was fired, delivered and is kept, in a journal (daemon/events)
 *   fleetd.pid    who has the directory open, for messages
 *
 * format, node.key and state/ are one identity. They live and die together: a node that lost any of it has forgotten promises
 * and must not speak as who it was, and one whose directory was wiped is another node. So they are never copied apart, never
 * restored from a backup, and what is missing or damaged is an error that names the file, never a fresh start.
 */
export interface DataDir extends Stores, Pick<Files, 'readFile' | 'writeDurably'> {
  /** Absolute. */
  readonly path: string
  readonly key: KeyPair
  /** This start's number: greater than that of every earlier one, and on disk before it is known. */
  readonly epoch: number
  readonly db: Database
  /** Waits for writes under way and gives the directory free. */
  close(): Promise<void>
}

/**
 * Opens, or makes, a data directory for this process alone. Throws a FleetError that names the directory: `conflict` with the pid
 * when another daemon has it, `refused` when a newer fleetd has written it (nothing is touched then), `corrupt` naming the file
 * when what is there does not make sense, `no-space`, or `unavailable`.
 */
export async function openDataDir(dir: string, log?: Logger): Promise<DataDir> {
  const path = resolve(dir)
  try {
    await readFormat(path)
    await mkdir(path, { recursive: true, mode: 0o700 })
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0)
      log?.warn({ path, mode: (mode & 0o777).toString(8) }, `other users can look into ${path}; run: chmod 700 ${path}`)
  } catch (error) {
    const found = diskError(error, path)
    if (found.code !== 'unavailable') throw found
    throw new FleetError(
      'unavailable',
      `cannot use ${path} as data directory: ${(error as Error).message}; choose another with --data-dir`,
      { cause: error },
    )
  }
  const database = await lock(path)
  try {
    const root = join(path, 'state')
    const files = await openFiles(root, FOLDERS)
    const { key, epoch } = await openIdentity(path, files)
    return {
      path,
      key,
      epoch,
      db: database,
      readFile: files.readFile,
      writeDurably: files.writeDurably,
      ...createStores(files, root),
      async close() {
        await files.close()
        await database.close()
      },
    }
  } catch (error) {
    await database.close()
    throw error
  }
}
