import type { Digest } from '../../../protocol/index.ts'

/** A pack file. Sizes in bytes, of whole records. */
export interface Pack {
  readonly name: string
  size: number
  /** What is needed of it, and what is on its way out and has to be on the disk until then. */
  live: number
  /** Chunks on their way out. */
  leaving: number
  /** Something in it was found damaged: it is written anew, that it be gone from the disk. */
  damaged: boolean
}

/** Where a chunk is: in a pack, or, without one, in a file of its own. Length in bytes. */
export interface Place {
  readonly length: number
  readonly pack?: Pack
  /** Where its record begins in the pack. */
  readonly offset?: number
}
export type InPack = Required<Place>

export const isInPack = (place: Place | undefined): place is InPack => place?.pack !== undefined

/** Where every chunk of a store is. */
export interface Places {
  readonly all: ReadonlyMap<Digest, Place>
  /** Of all chunks together. */
  bytes(): number
  get(chunk: Digest): Place | undefined
  set(chunk: Digest, place: Place): void
  delete(chunk: Digest): void
}

export function createPlaces(): Places {
  const all = new Map<Digest, Place>()
  let bytes = 0
  return {
    all,
    bytes: () => bytes,
    get: chunk => all.get(chunk),
    set(chunk, place) {
      bytes += place.length - (all.get(chunk)?.length ?? 0)
      all.set(chunk, place)
    },
    delete(chunk) {
      bytes -= all.get(chunk)?.length ?? 0
      all.delete(chunk)
    },
  }
}
