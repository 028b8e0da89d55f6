import { chmod, lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { type Digest, FleetError } from '../../protocol/index.ts'
import { writeDurably } from '../state/index.ts'

const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform(text => text as Digest)
const stateSchema = z.object({
  /** What each slot holds, complete; a slot that is being unpacked is not in here. */
  slots: z.record(z.string().regex(/^[a-j]$/), digest),
  current: z.string().nullable(),
  previous: z.string().nullable(),
})
type SlotState = z.infer<typeof stateSchema>

/** Where images are unpacked: slots a, b, ... of which one is current. */
export interface Slots {
  load(): Promise<void>
  fill(image: Digest, unpack: (directory: string) => Promise<void>): Promise<void>
  /** Makes the slot with this image current. */
  use(image: Digest): Promise<void>
  current(): {
    digest: Digest | undefined
    slot: string | undefined
    previous: Digest | undefined
    directory: string | undefined
  }
  find(image: Digest): string | undefined
  holds(): readonly Digest[]
}

export function createSlots(directory: string, keep: number): Slots {
  const names = Array.from({ length: keep + 1 }, (_, index) => String.fromCharCode(97 + index))
  const file = join(directory, 'slots.json')
  const path = (slot: string): string => join(directory, 'slots', slot)
  let state: SlotState = { slots: {}, current: null, previous: null }

  const save = async (next: SlotState): Promise<void> => {
    await writeDurably(file, `${JSON.stringify(next, null, 2)}\n`)
    state = next
  }
  const find = (image: Digest): string | undefined => Object.keys(state.slots).find(slot => state.slots[slot] === image)
  const held = (slot: string | null): Digest | undefined => (slot === null ? undefined : state.slots[slot])

  return {
    find,
    holds: () => Object.values(state.slots),
    current: () => ({
      digest: held(state.current),
      slot: state.current ?? undefined,
      previous: held(state.previous),
      directory: state.current === null ? undefined : path(state.current),
    }),

    async load() {
      await mkdir(join(directory, 'slots'), { recursive: true, mode: 0o755 })
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      if (text === undefined) return
      let raw: unknown
      try {
        raw = JSON.parse(text)
      } catch {
        raw = undefined
      }
      const parsed = stateSchema.safeParse(raw)
      if (!parsed.success)
        throw new FleetError(
          'corrupt',
          `${file} is damaged; look into ${join(directory, 'slots')} to see what ran there, then remove the file to begin with empty slots`,
        )
      state = parsed.data
    },

    async fill(image, unpack) {
      if (find(image) !== undefined) return
      const slot =
        names.find(name => state.slots[name] === undefined) ??
        names.find(name => name !== state.current && name !== state.previous) ??
        names.find(name => name !== state.current)!
      // Said to be empty before it is touched, and to be full only after all of it is on disk.
      const { [slot]: _, ...others } = state.slots
      await save({ ...state, slots: others, previous: state.previous === slot ? null : state.previous })
      await makeWritable(path(slot))
      await rm(path(slot), { recursive: true, force: true })
      await mkdir(path(slot), { recursive: true, mode: 0o755 })
      await unpack(path(slot))
      await makeReadOnly(path(slot))
      await save({ ...state, slots: { ...state.slots, [slot]: image } })
    },

    async use(image) {
      const slot = find(image)
      if (slot === undefined)
        throw new FleetError('not-found', `no slot holds image ${image.slice(0, 12)}; it has to be staged first`)
      if (slot === state.current) return
      await save({ ...state, current: slot, previous: state.current })
    },
  }
}

async function walk(
  path: string,
  visit: (path: string, mode: number, directory: boolean) => Promise<void>,
  directoriesFirst: boolean,
): Promise<void> {
  const info = await lstat(path).catch(() => undefined)
  if (info === undefined || info.isSymbolicLink()) return
  if (!info.isDirectory()) return visit(path, info.mode, false)
  if (directoriesFirst) await visit(path, info.mode, true)
  for (const name of await readdir(path)) await walk(join(path, name), visit, directoriesFirst)
  if (!directoriesFirst) await visit(path, info.mode, true)
}

/** What is in a slot is not changed: it is replaced. */
const makeReadOnly = (path: string): Promise<void> => walk(path, (entry, mode) => chmod(entry, mode & 0o7555), false)
const makeWritable = (path: string): Promise<void> =>
  walk(path, (entry, mode, directory) => (directory ? chmod(entry, mode | 0o700) : Promise.resolve()), true)
