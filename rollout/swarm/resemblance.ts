import { CHUNK, type ChunkRef, type Digest } from '../../protocol/index.ts'

/** What a chunk is compared with is no longer than this. Bytes. */
const MOST = 2 * CHUNK.max

/** What an earlier version has in the place of a chunk: the chunks of it that stand as far behind what is the same before, or before what is the same after. */
export type Resemblance = (index: number) => readonly ChunkRef[]

/**
 * For the chunks of an image that none of `others` has. Of these it is the one with the most bytes in common that counts; where nothing is in common,
 * nothing has a place. Pure; the work is done once.
 */
export function createResemblance(chunks: readonly ChunkRef[], others: readonly (readonly ChunkRef[])[]): Resemblance {
  const wanted = new Set(chunks.map(({ digest }) => digest))
  let old: readonly ChunkRef[] = []
  let most = 0
  for (const other of others) {
    const common = other.reduce((sum, { digest, length }) => sum + (wanted.has(digest) ? length : 0), 0)
    if (common > most) [old, most] = [other, common]
  }
  if (most === 0) return () => []
  const places = new Map<Digest, number>()
  for (const [at, { digest }] of old.entries()) if (!places.has(digest)) places.set(digest, at)

  const placeOf = (index: number): number | undefined => {
    const ref = chunks[index]
    return ref === undefined ? undefined : places.get(ref.digest)
  }
  /** Of the old chunks from `at` on, in this direction, those with bytes between `from` and `to`, counted from there. */
  const between = (at: number, step: 1 | -1, from: number, to: number, into: Set<number>): void => {
    for (let passed = 0; passed < to && at >= 0 && at < old.length && !wanted.has(old[at]!.digest); at += step) {
      passed += old[at]!.length
      if (passed > from) into.add(at)
    }
  }
  return index => {
    if (chunks[index] === undefined || placeOf(index) !== undefined) return []
    const { length } = chunks[index]!
    let before = 0
    let first = index
    while (first > 0 && placeOf(first - 1) === undefined && before < 4 * MOST) before += chunks[--first]!.length
    let after = 0
    let last = index
    while (last < chunks.length - 1 && placeOf(last + 1) === undefined && after < 4 * MOST)
      after += chunks[++last]!.length
    const found = new Set<number>()
    const left = first === 0 ? -1 : placeOf(first - 1)
    const right = last === chunks.length - 1 ? old.length : placeOf(last + 1)
    if (left !== undefined) between(left + 1, 1, before, before + length, found)
    if (right !== undefined) between(right - 1, -1, after, after + length, found)
    const like: ChunkRef[] = []
    let bytes = 0
    for (const at of [...found].sort((a, b) => a - b)) {
      bytes += old[at]!.length
      if (bytes <= MOST) like.push(old[at]!)
    }
    return like
  }
}
