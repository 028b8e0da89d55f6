import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { type Digest, FleetError, type Millis, parseDigest } from '../../protocol/index.ts'
import { type SlotMark, slotMarkSchema } from '../../rollout/index.ts'
import { syncDirectory, writeDurably } from '../state/index.ts'
import type { SlotInfo } from './driver.ts'
import { createLane } from './lane.ts'
import { seal, unseal } from './slot-tree.ts'

/** More slots than this have no name. `keep` in the configuration stays below it. */
export const MAX_SLOTS = 9

const MAX_MARKS = 16

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
      /** When it last became current, by the wall clock. Absent in what an older fleetd wrote. */
      since: z.number().int().nonnegative().optional(),
      /** Why it is not to be run for ever. They go with the slot's content and not before. */
      marks: z.array(slotMarkSchema).max(MAX_MARKS).default([]),
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
  /** Takes note that something else has made this slot current, or, null, none of them. A slot that is empty cannot be: throws `corrupt`. */
  correct(slot: string | null): Promise<void>
  current(): {
    readonly digest: Digest | undefined
    readonly slot: string | undefined
    readonly previous: Digest | undefined
    readonly directory: string | undefined
    readonly since: Millis | undefined
    readonly marks: readonly SlotMark[]
  }
  /** The slot that holds the image: one without marks where there is one. */
  find(image: Digest): string | undefined
  /** Sets the marks of the current slot. On disk when it resolves. */
  mark(change: (marks: readonly SlotMark[]) => readonly SlotMark[]): Promise<void>
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

  const holding = (image: Digest): string[] =>
    Object.keys(state.slots).filter(slot => state.slots[slot]?.image === image)
  const isClean = (slot: string): boolean => state.slots[slot]?.marks.length === 0
  const find = (image: Digest): string | undefined => holding(image).find(isClean) ?? holding(image)[0]
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
      since: state.current === null ? undefined : (state.slots[state.current]?.since as Millis | undefined),
      marks: state.current === null ? [] : (state.slots[state.current]?.marks ?? []),
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
      // A marked slot does not count: what it holds is what is to be replaced.
      if (holding(image).some(isClean)) return
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
          return { ...now, slots: { ...now.slots, [slot]: { image, order, marks: [] } } }
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
        if (slot === now.current) return now
        const slots = { ...now.slots, [slot]: { ...now.slots[slot]!, since: Date.now() } }
        return { ...now, slots, current: slot, previous: now.current }
      }),

    correct: slot =>
      commit(now => {
        if (slot === now.current) return now
        if (slot === null) return { ...now, current: null, previous: null }
        const held = now.slots[slot]
        if (held === undefined) throw new FleetError('corrupt', `slot ${slot} of ${root} runs, and is said to be empty`)
        const slots = { ...now.slots, [slot]: { ...held, since: Date.now() } }
        return { ...now, slots, current: slot, previous: now.current }
      }),

    mark: change =>
      commit(now => {
        if (now.current === null) return now
        const slot = now.slots[now.current]!
        const marks = change(slot.marks).slice(0, MAX_MARKS)
        return { ...now, slots: { ...now.slots, [now.current]: { ...slot, marks: [...marks] } } }
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
