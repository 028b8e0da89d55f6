import type { Random } from '../../../../protocol/index.ts'
import type { Disk, DiskFile } from '../../../../rollout/images/packs/disk.ts'

/** What a call asks for, so that a test can have it fail. */
export type Call = 'create' | 'write' | 'truncate' | 'sync' | 'remove'

/**
 * A folder in memory that behaves as the worst of disks: at a crash of the host each write that was not synced is there, is not, or is there in
 * part; a file whose name was not synced may be missing, and a removed one back.
 */
export interface LossyDisk extends Disk {
  /** The same folder after the process, or the whole host, has ended without a word. Who has the old one can change nothing any more. */
  crash(of: 'process' | 'host', random: Random): LossyDisk
  /** Asked before each change: an error that it gives is what the change ends in, of a write after a part of it. `halt`: nothing happens any more. */
  onCall: (call: Call) => Error | 'halt' | undefined
  files(): ReadonlyMap<string, Buffer>
}

interface Content {
  bytes: Buffer
  /** As it is on the disk. */
  synced: Buffer
  /** Changes that are in memory alone, in order. */
  pending: ((bytes: Buffer) => Buffer)[]
}

const never = new Promise<never>(() => undefined)

/** `syncs` false: a disk, or a store, that does not sync. */
export function lossyDisk(
  { syncs = true }: { syncs?: boolean } = {},
  names = new Map<string, Content>(),
  syncedNames = new Map<string, Content>(names),
): LossyDisk {
  let dead = false
  const allowed = async (call: Call): Promise<Error | undefined> => {
    await Promise.resolve()
    const verdict = dead ? 'halt' : disk.onCall(call)
    if (verdict === 'halt') dead = true
    return verdict === 'halt' ? never : verdict
  }
  const change = (content: Content, edit: (bytes: Buffer) => Buffer): void => {
    content.bytes = edit(content.bytes)
    content.pending.push(edit)
  }
  const fileOf = (content: Content): DiskFile => ({
    async read(into, position) {
      await Promise.resolve()
      if (dead) return never
      return content.bytes.copy(into, 0, position)
    },
    async write(parts, position) {
      const error = await allowed('write')
      const all = Buffer.concat(parts)
      const written = error === undefined ? all : all.subarray(0, all.byteLength / 2)
      change(content, bytes => overwrite(bytes, written, position))
      if (error !== undefined) throw error
    },
    size: async () => content.bytes.byteLength,
    async truncate(size) {
      const error = await allowed('truncate')
      if (error !== undefined) throw error
      change(content, bytes => Buffer.from(bytes.subarray(0, size)))
    },
    async sync() {
      const error = await allowed('sync')
      if (error !== undefined) throw error
      if (!syncs) return
      content.synced = Buffer.from(content.bytes)
      content.pending = []
    },
    close: async () => undefined,
  })
  const disk: LossyDisk = {
    onCall: () => undefined,
    files: () => new Map([...names].map(([name, { bytes }]) => [name, bytes])),
    list: async () => [...names.keys()],
    async open(name) {
      await Promise.resolve()
      const content = names.get(name)
      if (content === undefined) throw Object.assign(new Error(`no file ${name}`), { code: 'ENOENT' })
      return fileOf(content)
    },
    async create(name) {
      const error = await allowed('create')
      if (error !== undefined) throw error
      const content: Content = { bytes: Buffer.alloc(0), synced: Buffer.alloc(0), pending: [] }
      names.set(name, content)
      return fileOf(content)
    },
    async remove(name) {
      const error = await allowed('remove')
      if (error !== undefined) throw error
      names.delete(name)
    },
    async sync() {
      const error = await allowed('sync')
      if (error !== undefined) throw error
      if (!syncs) return
      syncedNames.clear()
      for (const [name, content] of names) syncedNames.set(name, content)
    },
    crash(of, random) {
      dead = true
      if (of === 'process') return lossyDisk({ syncs }, names, syncedNames)
      const left = new Map<string, Content>()
      for (const [name, content] of new Map([...syncedNames, ...names])) {
        // A change of names that was not synced may have reached the disk or not.
        if (syncedNames.get(name) !== names.get(name) && random.int(2) === 0) continue
        const bytes = survived(content, random)
        left.set(name, { bytes, synced: bytes, pending: [] })
      }
      return lossyDisk({ syncs }, left)
    },
  }
  return disk
}

function overwrite(bytes: Buffer, written: Uint8Array, position: number): Buffer {
  const after = Buffer.alloc(Math.max(bytes.byteLength, position + written.byteLength))
  bytes.copy(after)
  after.set(written, position)
  return after
}

/** What was synced, with any of the sectors that came after it. */
function survived({ synced, bytes, pending }: Content, random: Random): Buffer {
  if (pending.length === 0) return synced
  const SECTOR = 512
  const size = [synced.byteLength, bytes.byteLength, random.int(bytes.byteLength + 1)][random.int(3)]!
  const left = Buffer.alloc(Math.max(size, synced.byteLength))
  synced.copy(left)
  for (let at = 0; at < left.byteLength; at += SECTOR) if (random.int(2) === 0) bytes.copy(left, at, at, at + SECTOR)
  return left
}
