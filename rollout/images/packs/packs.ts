import { type Digest, FleetError, toFleetError } from '../../../protocol/index.ts'
import type { VerifiedChunk } from '../verified.ts'
import type { Disk } from './disk.ts'
import { checksumOf, HEAD, readHead } from './format.ts'
import { createHandles } from './handles.ts'
import { type InPack, isInPack, type Pack, type Places } from './places.ts'
import { recover } from './recover.ts'
import { createWriter, type Growing, PACK_SIZE } from './writer.ts'

/** Packs that are opened at the same time. */
const OPENERS = 8
/** From this share of garbage on a pack is written anew whenever something is removed, and from this one on when space is needed. */
const GARBAGE = { usual: 1 / 4, pressed: 1 / 64 } as const
/** What is written anew at a time. Bytes. */
const REWRITE = 1024 * 1024

/** Chunks in pack files. What `put` has acknowledged is on the disk, and nothing else is ever said to be here. */
export interface Packs {
  has(chunk: Digest): boolean
  /** Idempotent. The bytes have to stay as they are until it resolves. Rejects with the system's error. */
  put(chunk: VerifiedChunk): Promise<void>
  /**
   * The bytes of a chunk, in `into` where that is large enough: its head and it, HEAD bytes and its length. They are compared with their
   * checksum alone. Undefined when it is not here, `damaged` when the disk gives other bytes back.
   */
  read(chunk: Digest, into?: Buffer): Promise<Buffer | 'damaged' | undefined>
  /** It was found damaged: it is not here any more, and gone from the disk before long. */
  drop(chunk: Digest): void
  /**
   * They are not here any more from now on. They leave the disk only once `after` has resolved; when this resolves, so much of them has left
   * that no pack is for a quarter or more what nobody needs. What a crash leaves of them is here again at the next start.
   */
  remove(chunks: readonly Digest[], after: Promise<unknown>): Promise<void>
  /** Bytes on the disk that nobody needs. */
  waste(): number
  /** Gives back nearly all of that. */
  reclaim(): Promise<void>
  /** Waits for what is being written. Nothing may be asked of it any more. */
  close(): Promise<void>
}

export interface PacksInit {
  readonly disk: Disk
  /** Where each chunk is: kept by the caller, who may have others in it that are in no pack. */
  readonly places: Places
  /** The one string that stands for a digest: an index names most of them already. */
  readonly known?: (chunk: Digest) => Digest
  /** A chunk was found damaged while its pack was written anew, and was dropped. */
  readonly onDamaged?: (chunk: Digest) => void
  readonly packSize?: number
}

const NAME = /^\d{8}\.pack$/
const recordOf = (length: number): number => HEAD + length

/** Rejects `unavailable`, naming the file, when a pack cannot be read. */
export async function openPacks(init: PacksInit): Promise<Packs> {
  const { disk, places, known = chunk => chunk, onDamaged = () => undefined, packSize = PACK_SIZE } = init
  const handles = createHandles(disk)
  const packs = new Set<Pack>()
  const pending = new Map<Digest, Promise<void>>()
  let newest = 0
  let growing: Growing | undefined

  const release = (place: InPack): void => {
    place.pack.live -= recordOf(place.length)
  }
  const settle = (digest: Digest, place: InPack): void => {
    const before = places.get(digest)
    if (isInPack(before)) release(before)
    places.set(digest, place)
  }
  const forget = async (pack: Pack): Promise<void> => {
    packs.delete(pack)
    handles.forget(pack.name)
    await disk.remove(pack.name)
  }

  const names = (await disk.list()).filter(name => NAME.test(name)).sort()
  for (let at = 0; at < names.length; at += OPENERS) {
    const some = names.slice(at, at + OPENERS)
    const found = await Promise.all(
      some.map(name => handles.use(name, recover).catch(error => unreadable(name, error))),
    )
    for (const [index, { entries, end, full }] of found.entries()) {
      const pack: Pack = { name: some[index]!, size: end, live: 0, leaving: 0, damaged: false }
      packs.add(pack)
      newest = Number.parseInt(pack.name, 10)
      for (const { digest, offset, length } of entries) {
        pack.live += recordOf(length)
        settle(known(digest), { pack, offset, length })
      }
      growing = full || end >= packSize ? undefined : { pack, entries: [...entries] }
    }
  }
  for (const pack of packs) if (pack.live === 0 && pack !== growing?.pack) await forget(pack)

  // A process that ended before it knew the newest one's name to be on the disk has left that to us.
  if (growing !== undefined) await disk.sync()

  const writer = createWriter({
    disk,
    handles,
    growing,
    packSize,
    nextName: () => `${String(++newest).padStart(8, '0')}.pack`,
    onPack: pack => packs.add(pack),
  })

  const readAt = (place: InPack, into?: Buffer): Promise<Buffer> =>
    handles.use(place.pack.name, async file => {
      const size = recordOf(place.length)
      const bytes =
        into !== undefined && into.byteLength >= size ? into.subarray(0, size) : Buffer.allocUnsafeSlow(size)
      return bytes.subarray(0, await file.read(bytes, place.offset))
    })
  const isRecordOf = (bytes: Buffer, chunk: Digest, { length }: InPack): boolean => {
    const head = readHead(bytes, 0)
    return (
      head?.digest === chunk &&
      bytes.byteLength === recordOf(length) &&
      head.checksum === checksumOf(bytes.subarray(HEAD))
    )
  }

  const read: Packs['read'] = async (chunk, into) => {
    for (;;) {
      const place = places.get(chunk)
      if (!isInPack(place)) return undefined
      const bytes = await readAt(place, into).catch((error: NodeJS.ErrnoException) => {
        // Its pack was written anew before it could be opened, or it is gone from under us.
        if (error.code !== 'ENOENT') throw error
        return Buffer.alloc(0)
      })
      if (places.get(chunk) !== place) continue
      return isRecordOf(bytes, chunk, place) ? bytes.subarray(HEAD) : 'damaged'
    }
  }
  const drop = (chunk: Digest): void => {
    const place = places.get(chunk)
    if (!isInPack(place)) return
    places.delete(chunk)
    release(place)
    place.pack.damaged = true
    void rewrite(GARBAGE.usual)
  }

  /** Moves what is needed of a pack to where others are added, and removes it. */
  const renew = async (pack: Pack, needed: readonly [Digest, InPack][]): Promise<void> => {
    for (let at = 0; at < needed.length; ) {
      const moving: Promise<void>[] = []
      for (let bytes = 0; at < needed.length && bytes < REWRITE; at++) {
        const [chunk, place] = needed[at]!
        bytes += place.length
        moving.push(move(chunk, place))
      }
      await Promise.all(moving)
    }
    // Some of it may be on its way out by now, and has to be on the disk until then.
    if (pack.live === 0) await forget(pack)
  }
  const move = async (chunk: Digest, place: InPack): Promise<void> => {
    if (places.get(chunk) !== place) return
    const bytes = await readAt(place)
    if (places.get(chunk) !== place) return
    if (!isRecordOf(bytes, chunk, place)) {
      drop(chunk)
      return onDamaged(chunk)
    }
    const moved = await writer.append({ digest: chunk, bytes: bytes.subarray(HEAD) })
    if (places.get(chunk) === place) settle(chunk, moved)
    else release(moved)
  }

  const isDue = (pack: Pack, share: number): boolean =>
    pack.leaving === 0 &&
    (pack.damaged || pack.live === 0 || pack.size - pack.live >= share * pack.size) &&
    pack.size > pack.live
  const rewriteNow = async (share: number): Promise<void> => {
    if (![...packs].some(pack => isDue(pack, share))) return
    const current = writer.current()
    if (current !== undefined && isDue(current, share)) await writer.turn()
    const due = new Map<Pack, [Digest, InPack][]>()
    for (const pack of packs) if (isDue(pack, share) && pack !== writer.current()) due.set(pack, [])
    for (const [chunk, place] of places.all) if (isInPack(place)) due.get(place.pack)?.push([chunk, place])
    // What holds least is freed first: it may be the room that the others need.
    for (const [pack, needed] of [...due].sort(([a], [b]) => a.live - b.live)) await renew(pack, needed)
  }
  let rewriting: Promise<void> = Promise.resolve()
  /** One at a time. What could not be written anew, on a full disk, stays as it was, and is tried again with the next. */
  const rewrite = (share: number): Promise<void> => {
    rewriting = rewriting.then(() => rewriteNow(share)).catch(() => undefined)
    return rewriting
  }

  return {
    has: chunk => isInPack(places.get(chunk)),
    put(chunk) {
      if (places.get(chunk.digest) !== undefined) return Promise.resolve()
      const waiting = pending.get(chunk.digest)
      if (waiting !== undefined) return waiting
      const mine = writer.append(chunk).then(
        place => {
          pending.delete(chunk.digest)
          settle(chunk.digest, place)
        },
        error => {
          pending.delete(chunk.digest)
          throw toFleetError(error)
        },
      )
      pending.set(chunk.digest, mine)
      return mine
    },
    read,
    drop,
    async remove(chunks, after) {
      const going: InPack[] = []
      for (const chunk of chunks) {
        const place = places.get(chunk)
        if (!isInPack(place)) continue
        places.delete(chunk)
        place.pack.leaving += 1
        going.push(place)
      }
      await after
      for (const place of going) {
        place.pack.leaving -= 1
        release(place)
      }
      await rewrite(GARBAGE.usual)
    },
    waste: () => [...packs].reduce((sum, { size, live }) => sum + size - live, 0),
    reclaim: () => rewrite(GARBAGE.pressed),
    async close() {
      await rewriting
      await writer.settled()
      await handles.close()
    },
  }
}

function unreadable(name: string, error: unknown): never {
  throw new FleetError(
    'unavailable',
    `the pack ${name} of the image store cannot be read (${toFleetError(error).message}); delete that one file: what it held comes again from other members`,
    { cause: error },
  )
}
