import * as z from 'zod'
import { type Digest, decode, encode, parseDigest } from '../../protocol/index.ts'
import type { DataDir } from '../state/index.ts'

const FILE = 'pins'
const pinsSchema = z.array(z.string().transform(parseDigest))

/** Images that stay until they are unpinned, whatever becomes of them otherwise. An operator's word: nobody else could give it again. */
export interface Pins {
  has(image: Digest): boolean
  all(): readonly Digest[]
  /** On disk when it resolves. */
  set(image: Digest, pinned: boolean): Promise<void>
}

/** Throws `corrupt` naming the file. */
export async function openPins(store: Pick<DataDir, 'readFile' | 'writeDurably'>): Promise<Pins> {
  const bytes = await store.readFile(FILE)
  const pinned = new Set<Digest>(bytes === undefined ? [] : pinsSchema.parse(decode(bytes, Number.MAX_SAFE_INTEGER)))
  let turn: Promise<void> = Promise.resolve()
  return {
    has: image => pinned.has(image),
    all: () => [...pinned],
    set(image, wanted) {
      const mine = turn.then(async () => {
        if (pinned.has(image) === wanted) return
        const next = wanted ? [...pinned, image] : [...pinned].filter(other => other !== image)
        await store.writeDurably(FILE, encode(next))
        if (wanted) pinned.add(image)
        else pinned.delete(image)
      })
      turn = mine.catch(() => undefined)
      return mine
    },
  }
}
