import type { Digest } from '../../../protocol/index.ts'
import type { Disk } from './disk.ts'
import { checksumOf, type Entry, encodeTable, HEAD, writeHead } from './format.ts'
import type { Handles } from './handles.ts'
import type { InPack, Pack } from './places.ts'

/** A pack takes no more once it is so large: small enough to be written anew for the sake of what is garbage in it. Bytes. */
export const PACK_SIZE = 32 * 1024 * 1024
/** What is written and synced at a time, at most. Bytes. */
const BATCH = 4 * 1024 * 1024

/** Appends chunks to packs, all that wait at a time with one sync for all of them. */
export interface Writer {
  /** On disk when it resolves. The bytes have to stay as they are until then. Rejects with the system's error; nothing of it counts then. */
  append(chunk: { readonly digest: Digest; readonly bytes: Uint8Array }): Promise<InPack>
  /** The pack that is added to; nobody else may touch it. */
  current(): Pack | undefined
  /** Nothing is added to the current pack any more when it resolves. */
  turn(): Promise<void>
  /** Resolves when all that was appended is on disk, or was refused. */
  settled(): Promise<void>
}

interface Waiting {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly resolve: (place: InPack) => void
  readonly reject: (error: unknown) => void
}

/** The pack that is being added to, and what is in it. */
export interface Growing {
  readonly pack: Pack
  readonly entries: Entry[]
}

export function createWriter(init: {
  readonly disk: Disk
  readonly handles: Handles
  /** One that is not full, from before. */
  readonly growing: Growing | undefined
  readonly packSize: number
  readonly nextName: () => string
  readonly onPack: (pack: Pack) => void
}): Writer {
  const { disk, handles } = init
  let growing = init.growing
  let queue: Waiting[] = []
  const turning: (() => void)[] = []
  let running: Promise<void> | undefined

  const begin = async (): Promise<Growing> => {
    const name = init.nextName()
    handles.add(name, await disk.create(name))
    await disk.sync()
    const begun: Growing = { pack: { name, size: 0, live: 0, leaving: 0, damaged: false }, entries: [] }
    growing = begun // before anybody can take it for one that is not needed
    init.onPack(begun.pack)
    return begun
  }
  /** A pack without its table is as good, and takes longer to open. */
  const seal = async ({ pack, entries }: Growing): Promise<void> => {
    await handles
      .use(pack.name, async file => {
        await file.write([encodeTable(entries)], pack.size)
        await file.sync()
      })
      .catch(() => undefined)
  }
  /** What was begun and did not get to the disk is taken back. Where that fails, the next start does it. */
  const giveUp = async ({ name, size }: Pack): Promise<void> => {
    await handles.use(name, file => file.truncate(size)).catch(() => undefined)
  }

  const write = async (batch: readonly Waiting[]): Promise<InPack[]> => {
    if (growing !== undefined && growing.pack.size >= init.packSize) {
      await seal(growing)
      growing = undefined
    }
    const { pack, entries } = growing ?? (await begin())
    const heads = Buffer.allocUnsafe(batch.length * HEAD)
    const parts: Uint8Array[] = []
    const places: InPack[] = []
    let offset = pack.size
    for (const [at, { digest, bytes }] of batch.entries()) {
      const length = bytes.byteLength
      writeHead(heads, at * HEAD, { digest, length, synced: pack.size, checksum: checksumOf(bytes) })
      parts.push(heads.subarray(at * HEAD, (at + 1) * HEAD), bytes)
      places.push({ pack, offset, length })
      offset += HEAD + length
    }
    try {
      await handles.use(pack.name, async file => {
        await file.write(parts, pack.size)
        await file.sync()
      })
    } catch (error) {
      // What a sync that failed has left in memory is not what is on the disk: nothing is added behind it.
      growing = undefined
      await giveUp(pack)
      throw error
    }
    for (const [at, { digest }] of batch.entries()) entries.push({ ...places[at]!, digest })
    pack.live += offset - pack.size
    pack.size = offset
    return places
  }

  const run = async (): Promise<void> => {
    while (queue.length > 0 || turning.length > 0) {
      if (turning.length > 0) {
        growing = undefined
        for (const turned of turning.splice(0)) turned()
        continue
      }
      const batch = take(queue)
      queue = queue.slice(batch.length)
      await write(batch).then(
        places => batch.forEach(({ resolve }, at) => void resolve(places[at]!)),
        error => batch.forEach(({ reject }) => void reject(error)),
      )
    }
    running = undefined
  }
  const wake = (): void => {
    // Behind what the caller still adds in this turn of the loop.
    running ??= Promise.resolve().then(run)
  }

  return {
    append: ({ digest, bytes }) =>
      new Promise((resolve, reject) => {
        queue.push({ digest, bytes, resolve, reject })
        wake()
      }),
    current: () => growing?.pack,
    turn: () =>
      new Promise(resolve => {
        turning.push(resolve)
        wake()
      }),
    settled: async () => {
      await running
    },
  }
}

function take(queue: readonly Waiting[]): readonly Waiting[] {
  let bytes = 0
  let count = 0
  while (count < queue.length && bytes < BATCH) bytes += queue[count++]!.bytes.byteLength
  return queue.slice(0, count)
}
