import * as z from 'zod'
import { decode, encode, FleetError, sha256 } from '../../protocol/index.ts'
import type { HandlerSpec } from './spec.ts'

/** How far each handler has come in this node's user events. On disk, so that no event is handled twice, and none is passed over. */
export interface Cursors {
  /** Undefined for a handler that has had no event yet. */
  get(spec: HandlerSpec): number | undefined
  /** Resolves once it is on disk. Throws `no-space` or `unavailable`. */
  set(spec: HandlerSpec, cursor: number): Promise<void>
  /** From the next `set` on, only these are kept. */
  keep(specs: readonly HandlerSpec[]): void
}

/** Where they are kept: DataDir, under the name FILE. */
export interface CursorStore {
  readFile(name: string): Promise<Uint8Array | undefined>
  writeDurably(name: string, bytes: Uint8Array): Promise<void>
}

const FILE = 'handlers'
const MAX_FILE = 64 * 1024
const schema = z.array(z.tuple([z.string(), z.number().int().min(0)]))

/** Throws `corrupt` when what is on disk is not what was written. */
export async function openCursors(store: CursorStore): Promise<Cursors> {
  const bytes = await store.readFile(FILE)
  const cursors = new Map<string, number>(bytes === undefined ? [] : parse(bytes))
  return {
    get: spec => cursors.get(keyOf(spec)),
    async set(spec, cursor) {
      const key = keyOf(spec)
      const before = cursors.get(key)
      cursors.set(key, cursor)
      try {
        await store.writeDurably(FILE, encode([...cursors]))
      } catch (error) {
        // Another handler's write must not say that this one has come so far.
        if (before === undefined) cursors.delete(key)
        else cursors.set(key, before)
        throw error
      }
    },
    keep(specs) {
      const kept = new Set(specs.map(keyOf))
      for (const key of cursors.keys()) if (!kept.has(key)) cursors.delete(key)
    },
  }
}

/** A handler is its text: whoever changes that has a new one, which begins with the events from then on. */
const keyOf = (spec: HandlerSpec): string => sha256(Buffer.from(spec.text))

function parse(bytes: Uint8Array): [string, number][] {
  try {
    return schema.parse(decode(bytes, MAX_FILE))
  } catch (error) {
    throw new FleetError(
      'corrupt',
      `state/${FILE} does not hold how far the event handlers have come; delete it: they go on with the events from then on`,
      { cause: error },
    )
  }
}
