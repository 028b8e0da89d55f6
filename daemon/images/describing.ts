import { type ChunkRef, encodeIndex, INDEX_ENTRY, indexPart, shortNames } from '../../protocol/index.ts'
import { type Description, PART, type Question, SHORT_PART } from './wire.ts'

/** What is asked for of an index; never more than PART bytes. */
export function answerOf(
  index: readonly ChunkRef[],
  { part, short, runs }: Pick<Question, 'part' | 'short' | 'runs'>,
): Pick<Description, 'part' | 'short'> {
  if (runs.length > 0) return { part: encodeIndex(chunksIn(index, runs)), short: false }
  if (short) return { part: shortNames(index, part * SHORT_PART, (part + 1) * SHORT_PART), short: true }
  return { part: indexPart(index, part * PART, (part + 1) * PART), short: false }
}

function chunksIn(index: readonly ChunkRef[], runs: Question['runs']): ChunkRef[] {
  const most = Math.floor(PART / INDEX_ENTRY)
  const chunks: ChunkRef[] = []
  for (const [first, count] of runs)
    for (const ref of index.slice(first, first + Math.min(count, most - chunks.length))) chunks.push(ref)
  return chunks
}
