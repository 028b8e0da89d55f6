import { Level } from 'level'
import { FleetError } from '../../protocol/index.ts'
import { diskError } from './disk-error.ts'

/**
 * Values by name in LevelDB, for what other nodes can give again (manifests, chunk indexes): LevelDB drops the rest of its log
 * behind a damaged record without a word, so nothing that this node alone has promised is kept here. A write that has
 * resolved is on disk.
 */
export interface Database {
  get(name: string): Promise<Uint8Array | undefined>
  put(name: string, value: Uint8Array): Promise<void>
  del(name: string): Promise<void>
  /** All values whose name begins so, with the rest of their names. */
  list(prefix: string): Promise<[string, Uint8Array][]>
}

/** An open database, and with it the operating system's lock on its folder. */
export interface OpenDatabase extends Database {
  close(): Promise<void>
}

/** Undefined when another process has it open. Throws `no-space`, `corrupt` or `unavailable`. */
export async function openDatabase(folder: string): Promise<OpenDatabase | undefined> {
  const level = new Level<string, Uint8Array>(folder, { valueEncoding: 'view' })
  try {
    await level.open()
  } catch (error) {
    if ((error as { cause?: { code?: string } }).cause?.code === 'LEVEL_LOCKED') return undefined
    throw asDatabaseError(error, folder)
  }
  let refused: FleetError | undefined
  let turn: Promise<void> = Promise.resolve()

  const read = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw asDatabaseError(error, folder)
    }
  }
  // LevelDB acknowledges writes behind one that failed and loses them when it is opened again: its log has a hole then. So
  // each write waits for the one before, and after a failure none is taken.
  const write = (work: () => Promise<void>): Promise<void> => {
    const mine = turn.then(async () => {
      if (refused !== undefined) throw refused
      try {
        await work()
      } catch (error) {
        const { code, message } = asDatabaseError(error, folder)
        refused = new FleetError(
          code,
          `the database in ${folder} takes no writes since one failed (${message}); see to the disk, then restart fleetd`,
          { cause: error },
        )
        throw asDatabaseError(error, folder)
      }
    })
    turn = mine.catch(() => undefined)
    return mine
  }
  return {
    get: name => read(level.get(name) as Promise<Uint8Array | undefined>),
    put: (name, value) => write(() => level.put(name, value, { sync: true })),
    del: name => write(() => level.del(name, { sync: true })),
    list: async prefix => {
      const entries = await read(level.iterator({ gte: prefix, lt: `${prefix}\uffff` }).all())
      return entries.map(([name, value]) => [name.slice(prefix.length), value])
    },
    async close() {
      await turn
      await level.close()
    },
  }
}

function asDatabaseError(error: unknown, folder: string): FleetError {
  const found = diskError(error, folder)
  if (found.code === 'no-space' || !/corruption/i.test(found.message)) return found
  return new FleetError(
    'corrupt',
    `the database in ${folder} is damaged (${found.message}); delete that one folder: what it held comes again from other members`,
    { cause: error, detail: { file: folder } },
  )
}
