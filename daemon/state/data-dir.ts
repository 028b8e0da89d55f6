import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { FleetError, generateKeyPair, type KeyPair, keyPairFromSeed, toFleetError } from '../../protocol/index.ts'
import { writeDurably } from './durable.ts'

/** The layout of a data directory that this build understands. */
const FORMAT = 1

/**
 * Everything that a daemon keeps. The identity (`node.key`) and what was promised under it (ledgers, epoch) live and die
 * together in this one directory: a node whose directory was wiped is another node, and never votes as the one that it was.
 */
export interface DataDir {
  readonly path: string
  readonly key: KeyPair
  /** Grows at every start, on disk before this is known. */
  readonly epoch: number
  readonly db: Database
  close(): Promise<void>
}

/** Small durable values by name. A write that has resolved is on disk. */
export interface Database {
  readonly level: Level<string, Uint8Array>
  get(name: string): Promise<Uint8Array | undefined>
  put(name: string, value: Uint8Array): Promise<void>
  del(name: string): Promise<void>
  /** All values whose name begins so, with the rest of their names. */
  list(prefix: string): Promise<[string, Uint8Array][]>
}

/**
 * Opens, or makes, a data directory for this process alone. Throws a FleetError that names the directory: `conflict` when
 * another daemon has it, `refused` when a newer fleetd has written it, `corrupt` when what is there does not make sense.
 */
export async function openDataDir(path: string): Promise<DataDir> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new FleetError(
      'unavailable',
      `cannot use ${path} as data directory: ${(error as Error).message}; choose another with --data-dir`,
      { cause: error },
    )
  }
  await checkFormat(path)
  const level = await lock(path)
  try {
    const db = database(level)
    const key = await loadKey(join(path, 'node.key'), db)
    const epoch = Number(new TextDecoder().decode((await db.get('epoch')) ?? new Uint8Array()) || '0') + 1
    if (!Number.isSafeInteger(epoch))
      throw new FleetError(
        'corrupt',
        `the start counter in ${path} is damaged; this node cannot go on under its identity: remove the directory and let it join anew`,
      )
    await db.put('epoch', new TextEncoder().encode(String(epoch)))
    return { path, key, epoch, db, close: () => level.close() }
  } catch (error) {
    await level.close()
    throw error
  }
}

async function checkFormat(path: string): Promise<void> {
  const file = join(path, 'format')
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw toFleetError(error)
  })
  if (text === undefined) return writeDurably(file, `${FORMAT}\n`)
  const format = Number(text.trim())
  if (!Number.isInteger(format) || format < 1)
    throw new FleetError('corrupt', `${file} is damaged: it holds ${JSON.stringify(text.slice(0, 20))}, not a number`)
  if (format > FORMAT) {
    throw new FleetError(
      'refused',
      `${path} was written by a newer fleetd (format ${format}; this build understands up to ${FORMAT}); start that one, or use another --data-dir`,
    )
  }
}

/**
 * LevelDB holds a lock of the operating system on its directory, which ends with the process however that ends: there is
 * no stale lock to reason about. The pid beside it only serves to name who has it.
 */
async function lock(path: string): Promise<Level<string, Uint8Array>> {
  const level = new Level<string, Uint8Array>(join(path, 'db'), { valueEncoding: 'view' })
  const pidFile = join(path, 'fleetd.pid')
  try {
    await level.open()
  } catch (error) {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause
    if (cause?.code === 'LEVEL_LOCKED') {
      const pid = (await readFile(pidFile, 'utf8').catch(() => '')).trim()
      throw new FleetError(
        'conflict',
        `${path} is in use by another fleetd${pid === '' ? '' : ` (pid ${pid})`}; stop that one, or use another --data-dir`,
        { cause: error },
      )
    }
    throw asDiskError(error, path)
  }
  await writeFile(pidFile, `${process.pid}\n`)
  return level
}

async function loadKey(file: string, db: Database): Promise<KeyPair> {
  const seed = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw toFleetError(error)
  })
  if (seed !== undefined) {
    if (seed.byteLength !== 32)
      throw new FleetError(
        'corrupt',
        `${file} is damaged (${seed.byteLength} bytes instead of 32); restore it, or remove the whole data directory and let the node join anew`,
      )
    return keyPairFromSeed(seed)
  }
  // State without its key would be another node's promises under a new name.
  if ((await db.get('epoch')) !== undefined)
    throw new FleetError(
      'corrupt',
      `${file} is missing from a data directory that has been in use; restore it, or remove the whole directory and let the node join anew`,
    )
  const key = generateKeyPair()
  await writeDurably(file, key.seed)
  return key
}

function database(level: Level<string, Uint8Array>): Database {
  const guarded = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw asDiskError(error, level.location)
    }
  }
  return {
    level,
    get: name => guarded(level.get(name) as Promise<Uint8Array | undefined>),
    put: (name, value) => guarded(level.put(name, value, { sync: true })),
    del: name => guarded(level.del(name, { sync: true })),
    list: async prefix => {
      const entries = await guarded(level.iterator({ gte: prefix, lt: `${prefix}\uffff` }).all())
      return entries.map(([name, value]) => [name.slice(prefix.length), value])
    },
  }
}

function asDiskError(error: unknown, path: string): FleetError {
  const text = [error, (error as { cause?: unknown }).cause]
    .map(part => (part instanceof Error ? part.message : ''))
    .join(' ')
  if (/no space left|disk quota/i.test(text))
    return new FleetError(
      'no-space',
      `the disk that holds ${path} is full; free some space: nothing that was acknowledged is lost`,
      { cause: error },
    )
  if (/corruption/i.test(text))
    return new FleetError(
      'corrupt',
      `the database in ${path} is damaged (${text.trim()}); remove the whole data directory and let the node join anew`,
      { cause: error },
    )
  return new FleetError('unavailable', `${path}: ${text.trim()}`, { cause: error })
}
