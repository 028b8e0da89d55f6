import { statfs } from 'node:fs/promises'
import { type Digest, FleetError, type Millis } from '../../protocol/index.ts'
import { type Collection, type CollectOptions, decideCollection } from './collect.ts'
import type { ImageStore } from './store.ts'

/** A part of the file system's size, or bytes. */
export type Amount = { readonly share: number } | { readonly bytes: number }

export interface SpaceLimits {
  /** What all chunks together may take, with what removed ones have left behind. */
  readonly quota: Amount
  /** What the file system has to be left with. */
  readonly minFree: Amount
}

/** What the store takes and may take, in bytes. */
export interface SpaceUse {
  readonly used: number
  readonly quota: number
  readonly free: number
  readonly minFree: number
}

/** Keeps a store within its limits: what is not needed goes, and what has no room is refused. */
export interface Space {
  use(): Promise<SpaceUse>
  /** Frees what is not needed, and tells what went. With `dryRun` it only tells what would go. */
  collect(options: CollectOptions & { readonly dryRun?: boolean }): Promise<Collection>
}

export interface SpaceInit {
  readonly store: ImageStore
  /** Any path on the store's file system. */
  readonly directory: string
  readonly limits: () => SpaceLimits
  /** Images that stay; undefined while that is not known yet: then nothing is collected. */
  readonly roots: () => { has(image: Digest): boolean } | undefined
  readonly now: () => Millis
  readonly onCollected: (collection: Collection) => void
  /** Size and free bytes of the file system. */
  readonly measure?: (directory: string) => Promise<{ size: number; free: number }>
}

/** How long a measurement of the file system is believed, and for how many bytes written since. */
const BELIEVED = { ms: 1_000, bytes: 16 * 1024 * 1024 }

export function createSpace(init: SpaceInit): Space {
  const { store, now, measure = ofFileSystem } = init
  let measured: { size: number; free: number; at: Millis } | undefined
  let written = 0
  let collecting: Promise<unknown> = Promise.resolve()

  const disk = async (): Promise<{ size: number; free: number }> => {
    if (measured === undefined || written > BELIEVED.bytes || Math.abs(now() - measured.at) > BELIEVED.ms) {
      written = 0
      measured = { ...(await measure(init.directory)), at: now() }
    }
    return { size: measured.size, free: Math.max(0, measured.free - written) }
  }
  const use = async (): Promise<SpaceUse> => {
    const { size, free } = await disk()
    const { quota, minFree } = init.limits()
    return { used: store.bytes() + store.waste(), quota: inBytes(quota, size), free, minFree: inBytes(minFree, size) }
  }
  const fits = ({ used, quota, free, minFree }: SpaceUse, room: number): boolean =>
    used + room <= quota && free - room >= minFree

  const collectNow = async ({ dryRun = false, ...options }: Parameters<Space['collect']>[0]): Promise<Collection> => {
    const { quota, free, minFree } = await use()
    const roots = init.roots()
    if (roots === undefined) return { images: [], chunks: [], bytes: 0 }
    // Nothing is awaited between the decision and its taking effect: what begins to be used later finds it gone, and fetches it.
    const limits = { quota: quota - store.waste(), free, minFree }
    const collection = decideCollection({ ...store.state(), roots, ...limits, now: now() }, options)
    if (dryRun) return collection
    await store.remove(collection)
    measured = undefined
    if (collection.images.length > 0 || collection.chunks.length > 0) init.onCollected(collection)
    return collection
  }
  const collect: Space['collect'] = options => {
    const mine = collecting.then(() => collectNow(options))
    collecting = mine.catch(() => undefined)
    return mine
  }

  /** Bytes that are being written: they count before they are on the disk. */
  let reserved = 0
  store.guard(async bytes => {
    reserved += bytes
    const done = (): void => {
      reserved -= bytes
      written += bytes
    }
    try {
      if (!fits(await use(), reserved) && store.waste() > 0) {
        await store.reclaim()
        measured = undefined
      }
      if (!fits(await use(), reserved)) {
        await collect({ room: reserved })
        const state = await use()
        if (!fits(state, reserved)) throw noRoom(state, reserved)
      }
      return done
    } catch (error) {
      reserved -= bytes
      throw error
    }
  })
  return { use, collect }
}

const inBytes = (amount: Amount, size: number): number =>
  'bytes' in amount ? amount.bytes : Math.floor(size * amount.share)

async function ofFileSystem(directory: string): Promise<{ size: number; free: number }> {
  const { bsize, blocks, bavail } = await statfs(directory)
  return { size: bsize * blocks, free: bsize * bavail }
}

function noRoom({ used, quota, free, minFree }: SpaceUse, room: number): FleetError {
  const advice = 'see what is kept and why with "fleetctl image list", then remove or unpin an image'
  return used + room > quota
    ? new FleetError(
        'no-space',
        `the image store has reached its quota: ${mib(used)} of ${mib(quota)} are used, and all of it is needed; ${advice}, or raise --quota`,
        { detail: { used, quota } },
      )
    : new FleetError(
        'no-space',
        `the disk has ${mib(free)} left and --min-free keeps ${mib(minFree)} of them; free some space, or ${advice}`,
        { detail: { free, minFree } },
      )
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 100 * 2 ** 20 ? 1 : 0)} MiB`
