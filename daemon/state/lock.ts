import { readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FleetError } from '../../protocol/index.ts'
import { type OpenDatabase, openDatabase } from './database.ts'
import { diskError } from './disk-error.ts'
import { identify, isAlive } from './process-identity.ts'

/**
 * Opens the database of a data directory, which keeps every other process out until it is closed. LevelDB holds a lock of
 * the operating system on it (fcntl(2)), which ends with the process however that ends: there is no stale lock to judge, and no
 * pid to mistake for another, in another container or after a reboot. The pid beside it only serves to name who has it.
 * Throws `conflict` naming the directory and that pid.
 */
export async function lock(path: string): Promise<OpenDatabase> {
  const pidFile = join(path, 'fleetd.pid')
  const place = await realpath(path)
  if (held.has(place)) throw inUse(path, process.pid)
  held.add(place)
  let database: OpenDatabase | undefined
  try {
    database = await openDatabase(join(path, 'db'))
    if (database === undefined) throw inUse(path, await holder(pidFile))
    const self = await identify(process.pid)
    await writeFile(pidFile, `${process.pid} ${self?.startTime ?? ''}\n`, { mode: 0o600 })
  } catch (error) {
    await database?.close()
    held.delete(place)
    throw diskError(error, pidFile)
  }
  const { close } = database
  return {
    ...database,
    async close() {
      await rm(pidFile, { force: true }).catch(() => undefined)
      await close()
      held.delete(place)
    },
  }
}

// A lock of fcntl(2) belongs to the process and is lost when the process closes any descriptor of the file, which a
// second attempt to open the database would do. So this process must know by itself what it has.
const held = new Set<string>()

function inUse(path: string, pid: number | undefined): FleetError {
  return new FleetError(
    'conflict',
    `${path} is in use by another fleetd${pid === undefined ? '' : ` (pid ${pid})`}; stop that one, or use another --data-dir`,
    { detail: pid === undefined ? {} : { pid } },
  )
}

/** Undefined when the file is not there yet, or is that of an earlier holder. */
async function holder(pidFile: string): Promise<number | undefined> {
  const [pid = '', startTime = ''] = (await readFile(pidFile, 'latin1').catch(() => '')).trim().split(' ')
  return (await isAlive({ pid: Number(pid), startTime })) ? Number(pid) : undefined
}
