import type { ChunkRef } from './manifest.ts'

/*
 * An index in short: for each chunk the first bytes of its digest. Who holds an earlier version of the image knows most of its chunks by that, and asks for
 * the rest in full. Nothing is believed of what comes out: the whole index has to match its own digest, and where two chunks go by
 * one name it does not, and comes in full.
 */

/** Bytes of a name. Among ten million chunks that a host knows, one in 28 million goes by the name of another. */
export const SHORT_NAME = 6

/** The names of the chunks from `from` up to, and without, `to`. */
export function shortNames(refs: readonly ChunkRef[], from = 0, to = refs.length): Uint8Array {
  const some = refs.slice(from, to)
  const names = Buffer.alloc(some.length * SHORT_NAME)
  for (const [at, { digest }] of some.entries()) names.write(digest.slice(0, 2 * SHORT_NAME), at * SHORT_NAME, 'hex')
  return names
}

/** The chunks that go by these names, among those that are known; undefined where none does. Keeps no more than the names ask for, however many are known. */
export function chunksNamed(names: Uint8Array, known: Iterable<ChunkRef>): (ChunkRef | undefined)[] {
  const view = Buffer.from(names.buffer, names.byteOffset, names.byteLength)
  const keys = Array.from({ length: Math.floor(names.byteLength / SHORT_NAME) }, (_, at) =>
    view.readUIntBE(at * SHORT_NAME, SHORT_NAME),
  )
  const found = new Map<number, ChunkRef | undefined>(keys.map(key => [key, undefined]))
  for (const ref of known) {
    const key = Number.parseInt(ref.digest.slice(0, 2 * SHORT_NAME), 16)
    if (found.has(key)) found.set(key, ref)
  }
  return keys.map(key => found.get(key))
}

/** Where nothing stands, as runs of [first, how many]. */
export function gapsIn(refs: readonly (ChunkRef | undefined)[]): [first: number, count: number][] {
  const gaps: [number, number][] = []
  for (const [at, ref] of refs.entries()) {
    if (ref !== undefined) continue
    const last = gaps.at(-1)
    if (last !== undefined && last[0] + last[1] === at) last[1] += 1
    else gaps.push([at, 1])
  }
  return gaps
}
