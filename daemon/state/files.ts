import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FleetError, sha256 } from '../../protocol/index.ts'
import { diskError } from './disk-error.ts'
import { syncDirectory, UNFINISHED, writeDurably } from './durable.ts'

/**
 * Small durable values by name (`fleet`, `ledger/web`), each in a file of its own with a checksum. A promise resolves once
 * the disk has what it speaks of. Writes to one name happen one after another, in the order in which they were asked for.
 */
export interface Files {
  /** Undefined when there is no such file. Throws `corrupt` naming the file when it is not what was written under this name. */
  readFile(name: string): Promise<Uint8Array | undefined>
  /** Throws `no-space` with the old content in place. */
  writeDurably(name: string, bytes: Uint8Array): Promise<void>
  remove(name: string): Promise<void>
  /** The names in a folder, `ledger`, without the folder and in order; those at the top for ''. */
  names(folder: string): Promise<string[]>
  /** Waits for writes under way; later ones are refused. Idempotent. */
  close(): Promise<void>
}

const PART = '[A-Za-z0-9][A-Za-z0-9._-]*'
const NAME = new RegExp(`^(?:${PART}/)?${PART}$`)
const MAGIC = 'fleetd '
const HEADER = MAGIC.length + 64 + 1

/** Opens the folder, which is made if need be, and clears away what a crash cut short. */
export async function openFiles(root: string, folders: readonly string[]): Promise<Files> {
  const turns = new Map<string, Promise<void>>()
  let closed = false

  for (const folder of [root, ...folders.map(name => join(root, name))]) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      for (const name of await readdir(folder)) if (name.endsWith(UNFINISHED)) await rm(join(folder, name))
      await syncDirectory(dirname(folder))
    } catch (error) {
      throw diskError(error, folder)
    }
  }

  const pathOf = (name: string): string => {
    if (!NAME.test(name) || name.endsWith(UNFINISHED)) throw new FleetError('internal', `not a name of a file: ${name}`)
    return join(root, name)
  }

  const inTurn = (name: string, change: (path: string) => Promise<void>): Promise<void> => {
    const path = pathOf(name)
    if (closed)
      return Promise.reject(new FleetError('unavailable', `the daemon stops; ${path} is not written any more`))
    const mine = (turns.get(name) ?? Promise.resolve()).catch(() => undefined).then(() => change(path))
    turns.set(name, mine)
    const done = (): void => {
      if (turns.get(name) === mine) turns.delete(name)
    }
    mine.then(done, done)
    return mine
  }

  return {
    async readFile(name) {
      const path = pathOf(name)
      const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw diskError(error, path)
      })
      return content === undefined ? undefined : unseal(name, path, content)
    },
    writeDurably: (name, bytes) => inTurn(name, path => writeDurably(path, seal(name, bytes))),
    remove: name =>
      inTurn(name, async path => {
        try {
          await rm(path, { force: true })
          await syncDirectory(dirname(path))
        } catch (error) {
          throw diskError(error, path)
        }
      }),
    async names(folder) {
      const found = await readdir(join(root, folder)).catch((error: unknown) => {
        throw diskError(error, join(root, folder))
      })
      return found.filter(name => !name.endsWith(UNFINISHED)).sort()
    },
    async close() {
      closed = true
      await Promise.allSettled(turns.values())
    },
  }
}

// The checksum covers the name, so that a file that was copied to another name does not pass for that other one: not on
// a disk that takes `Web` and `web` for one name either.
const checksum = (name: string, bytes: Uint8Array): string => sha256(Buffer.from(`${name}\0`), bytes)

function seal(name: string, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${MAGIC}${checksum(name, bytes)}\n`), bytes])
}

function unseal(name: string, path: string, content: Buffer): Uint8Array {
  const bytes = Uint8Array.from(content.subarray(HEADER))
  const expected = `${MAGIC}${checksum(name, bytes)}\n`
  if (content.subarray(0, HEADER).toString('latin1') !== expected) throw damaged(name, path)
  return bytes
}

/** A file whose content cannot be believed: says what the operator can do. */
export function damaged(name: string, path: string): FleetError {
  return new FleetError('corrupt', `${path} is damaged: its content is not what was written; ${remedy(name)}`, {
    detail: { file: path },
  })
}

function remedy(name: string): string {
  const [store, item = ''] = name.split('/')
  switch (store) {
    case 'peers':
      return 'delete it: the node finds the others again through --join or mDNS'
    case 'documents':
      return 'delete it: other members pass it on again'
    case 'handlers':
      return 'delete it: event handlers go on with the user events from then on'
    case 'intent':
      return `see what layer ${item} runs, then delete it: the node gives back the permit that it may hold at the next start`
    default:
      return NEW_IDENTITY
  }
}

/** The only way on for a node that may have forgotten a promise. */
export const NEW_IDENTITY =
  'this node cannot go on under its identity: have the fleet forget it (fleetctl revoke), empty the whole data directory and let it join anew'
