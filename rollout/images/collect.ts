import type { ChunkRef, Digest, Millis } from '../../protocol/index.ts'

/** An image that was used within this time goes only when somebody asks for it: it may be waiting for its rollout. Milliseconds. */
export const RECENT = 60_000
/** Collection under pressure frees so much of the quota more than is needed, so that it is not needed again at once. */
const SLACK = 1 / 20

/** What a collection is decided from: all of it, and nothing else. Sizes in bytes. */
export interface StoreState {
  readonly images: readonly {
    readonly digest: Digest
    readonly index: readonly ChunkRef[]
    readonly usedAt: Millis
  }[]
  /** The chunks that are on this disk. */
  readonly chunks: ReadonlyMap<Digest, { readonly length: number }>
  /** Images that stay, with every chunk of them: running, previous, pinned, staged, on their way. */
  readonly roots: { has(image: Digest): boolean }
  /** Chunks of what is being made, which no image names yet. */
  readonly held: { has(chunk: Digest): boolean }
  /** All chunks together may take so much. */
  readonly quota: number
  /** What the file system has left, and what it has to be left with. */
  readonly free: number
  readonly minFree: number
  readonly now: Millis
}

export interface CollectOptions {
  /** Bytes that are about to be written. */
  readonly room?: number
  /** Every image that is no root goes, whether or not there is need. */
  readonly all?: boolean
}

/** What goes. */
export interface Collection {
  readonly images: readonly Digest[]
  readonly chunks: readonly Digest[]
  /** What the chunks take on the disk. */
  readonly bytes: number
}

/**
 * Which images and chunks go. Chunks that no image names go always. Images go when the quota or the floor is passed: those that were
 * used longest ago first, until there is room, and only those whose going frees something. A chunk goes when no image that
 * stays names it. Neither a root nor a chunk of one, nor a held chunk, ever goes.
 */
export function decideCollection(state: StoreState, { room = 0, all = false }: CollectOptions = {}): Collection {
  const { images, chunks, roots, held } = state
  const references = new Map<Digest, number>()
  for (const { index } of images)
    for (const { digest } of index) references.set(digest, (references.get(digest) ?? 0) + 1)

  const gone = new Set<Digest>()
  let bytes = 0
  let used = 0
  const take = (chunk: Digest): void => {
    const size = chunks.get(chunk)?.length
    if (size === undefined || gone.has(chunk) || held.has(chunk)) return
    gone.add(chunk)
    bytes += size
  }
  for (const [chunk, { length }] of chunks) {
    used += length
    if (!references.has(chunk)) take(chunk)
  }

  const needed = Math.max(used + room - state.quota, room + state.minFree - state.free)
  const goal = needed > 0 ? needed + (Number.isFinite(state.quota) ? state.quota * SLACK : 0) : 0
  const candidates = images
    .filter(({ digest, usedAt }) => !roots.has(digest) && (all || usedAt + RECENT <= state.now))
    .sort((a, b) => a.usedAt - b.usedAt || (a.digest < b.digest ? -1 : 1))
  const going: typeof candidates = []
  for (const image of candidates) {
    if (!all && bytes >= goal) break
    going.push(image)
    for (const { digest } of image.index) {
      const left = references.get(digest)! - 1
      references.set(digest, left)
      if (left === 0) take(digest)
    }
  }
  // An image that keeps all its chunks anyway, because others need them, may as well stay.
  const pays = ({ index }: (typeof going)[number]): boolean => index.some(({ digest }) => gone.has(digest))
  return { images: going.filter(image => all || pays(image)).map(({ digest }) => digest), chunks: [...gone], bytes }
}
