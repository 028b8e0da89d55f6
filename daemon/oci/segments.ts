import type { Span } from '../../rollout/index.ts'

/** Chunks that are asked for together: the first few are soon there, and later ones come in numbers that keep many peers busy. */
const SMALLEST = 64
const LARGEST = 512

/**
 * The part of a blob that a chunk of it is fetched with. Parts are the same whoever asks, so that many who read one blob share its
 * transfer: 64 chunks, which are about 4 MiB, then 128, 256, and 512 from there on.
 */
export function segmentOf({ from, to }: Pick<Span, 'from' | 'to'>, chunk: number): { from: number; to: number } {
  let start = from
  for (let length = SMALLEST; ; length = Math.min(LARGEST, length * 2)) {
    const end = Math.min(to, start + length)
    if (chunk < end || end === to) return { from: start, to: end }
    start = end
  }
}
