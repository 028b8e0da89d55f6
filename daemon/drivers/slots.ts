import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { type Digest, FleetError, parseDigest } from '../../protocol/index.ts'
import { syncDirectory, writeDurably } from '../state/index.ts'
import type { SlotInfo } from './driver.ts'
import { createLane } from './lane.ts'
import { seal, unseal } from './slot-tree.ts'

/** More slots than this have no name. `keep` in the configuration stays below it. */
export const MAX_SLOTS = 9

const slotName = z.string().regex(/^[a-i]$/)
const stateSchema = z.object({
  /** What each slot holds, complete; a slot that is empty or being filled is not in here. */
  slots: z.record(
    slotName,
    z.object({
      image: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .transform(parseDigest),
      /** Grows with each staging: the smallest is the oldest. */
      order: z.number().int().nonnegative(),
    }),
  ),
  current: slotName.nullable(),
  previous: slotName.nullable(),
})
type SlotState = z.infer<typeof stateSchema>

/** Where images are unpacked: slots a, b, ... of which one is current. What it says to be in a slot is on disk, complete. */
export interface Slots {
  /** Reads the state; resolves with the slots whose directory is missing, which are empty from here on. Throws `corrupt`. */
  load(): Promise<readonly string[]>
  /** Removes what a crash left in empty slots, and slots that `keep` does not allow any more. */
  sweep(): Promise<void>
  /** Has the image unpacked into a slot and sealed, unless a slot holds it. One at a time. */
  fill(image: Digest, unpack: (directory: string) => Promise<void>, signal: AbortSignal): Promise<void>
  /** Makes the slot with this image current. Throws `not-found`. */
  use(image: Digest): Promise<void>
  current(): {
    readonly digest: Digest | undefined
    readonly slot: string | undefined
    readonly previous: Digest | undefined
    readonly directory: string | undefined
  }
  find(image: Digest): string | undefined
  list(): readonly SlotInfo[]
}

export function createSlots(directory: string, keep: number): Slots {
  const names = Array.from({ length: Math.min(keep + 1, MAX_SLOTS) }, (_, index) => String.fromCharCode(97 + index))
  const file = join(directory, 'slots.json')
  const root = join(directory, 'slots')
  const path = (slot: string): string => join(root, slot)
  const inTurn = createLane()
  let state: SlotState = { slots: {}, current: null, previous: null }
  let filling: string | undefined

  /** Changes the state on disk, then in memory. What `change` sees is the latest there is; it may throw to leave it. */
  const commit = (change: (state: SlotState) => SlotState): Promise<void> =>
    inTurn(async () => {
      const next = change(state)
      if (next === state) return
      await writeDurably(file, `${JSON.stringify(next, null, 2)}\n`)
      state = next
    })

  const find = (image: Digest): string | undefined =>
    Object.keys(state.slots).find(slot => state.slots[slot]?.image === image)
  const held = (slot: string | null): Digest | undefined => (slot === null ? undefined : state.slots[slot]?.image)

  const remove = async (slot: string): Promise<void> => {
    await unseal(path(slot))
    await rm(path(slot), { recursive: true, force: true })
  }

  return {
    find,
    current: () => ({
      digest: held(state.current),
      slot: state.current ?? undefined,
      previous: held(state.previous),
      directory: state.current === null ? undefined : path(state.current),
    }),
    list: () =>
      [...new Set([...names, ...Object.keys(state.slots)])].sort().map(name => {
        const digest = held(name)
        if (digest === undefined) return { name, digest, role: 'empty' }
        return {
          name,
          digest,
          role: name === state.current ? 'current' : name === state.previous ? 'previous' : 'kept',
        }
      }),

    async load() {
      await mkdir(root, { recursive: true, mode: 0o755 })
      const read = await readState(file, root)
      const missing: string[] = []
      for (const slot of Object.keys(read.slots)) {
        const info = await lstat(path(slot)).catch(() => undefined)
        if (info?.isDirectory() !== true) missing.push(slot)
      }
      state = missing.reduce(without, read)
      return missing
    },

    async sweep() {
      await commit(now =>
        Object.keys(now.slots)
          .filter(slot => !names.includes(slot) && slot !== now.current && slot !== now.previous)
          .reduce(without, now),
      )
      for (const name of await readdir(root)) {
        if (state.slots[name] === undefined && name !== filling) await remove(name)
      }
    },

    async fill(image, unpack, signal) {
      if (find(image) !== undefined) return
      // Said to be empty before it is touched, and to be full only after all of it is on disk.
      await commit(now => {
        filling = victim(names, now)
        return without(now, filling)
      })
      const slot = filling!
      try {
        await remove(slot)
        await mkdir(path(slot), { mode: 0o755 })
        await unpack(path(slot))
        await seal(path(slot), signal)
        await syncDirectory(root)
        await commit(now => {
          signal.throwIfAborted()
          const order = 1 + Math.max(0, ...Object.values(now.slots).map(other => other.order))
          return { ...now, slots: { ...now.slots, [slot]: { image, order } } }
        })
      } catch (error) {
        // To give the space back; where this fails too, the next fill or start does it.
        await remove(slot).catch(() => undefined)
        throw error
      } finally {
        filling = undefined
      }
    },

    use: image =>
      commit(now => {
        const slot = find(image)
        if (slot === undefined)
          throw new FleetError('not-found', `no slot holds image ${image.slice(0, 12)}; it has to be staged first`)
        return slot === now.current ? now : { ...now, current: slot, previous: now.current }
      }),
  }
}

/** The slot to fill next: an empty one, else the one staged longest ago that is not in use, and only as a last resort the previous. */
function victim(names: readonly string[], state: SlotState): string {
  const oldestFirst = names
    .filter(name => name !== state.current)
    .sort((a, b) => (state.slots[a]?.order ?? 0) - (state.slots[b]?.order ?? 0))
  return (
    oldestFirst.find(name => state.slots[name] === undefined) ??
    oldestFirst.find(name => name !== state.previous) ??
    oldestFirst[0]!
  )
}

function without(state: SlotState, slot: string): SlotState {
  if (state.slots[slot] === undefined) return state
  const { [slot]: _, ...slots } = state.slots
  return {
    slots,
    current: state.current === slot ? null : state.current,
    previous: state.previous === slot ? null : state.previous,
  }
}

async function readState(file: string, root: string): Promise<SlotState> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return { slots: {}, current: null, previous: null }
  try {
    const state = stateSchema.parse(JSON.parse(text))
    if ([state.current, state.previous].every(slot => slot === null || state.slots[slot] !== undefined)) return state
  } catch {
    // Said below.
  }
  throw new FleetError(
    'corrupt',
    `${file} is damaged; look into ${root} to see what ran there, then remove the file to begin with empty slots`,
  )
}
