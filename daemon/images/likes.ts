import { randomBytes } from 'node:crypto'
import { applyPatch, namesOf, piecesOf, SALT } from '../../protocol/index.ts'
import { createResemblance, type ImageStore, type Resemblance, type StoredImage } from '../../rollout/index.ts'
import { unpack } from './packing.ts'
import type { Message } from './wire.ts'

/** Bytes of names that may be sent before any patch has to have saved as much. */
const TRIAL = 64 * 1024

/** What this node has in the place of chunks that it lacks, for one download. */
export interface Likes {
  /** What is said of a chunk before it is asked for; undefined where nothing is here that it may be like, or saying so has not paid. */
  like(index: number): Promise<Extract<Message, { type: 'like' }> | undefined>
  /** The bytes that a patch makes; undefined where it makes none of the chunk's length. Not compared with the chunk's digest. */
  patched(message: Extract<Message, { type: 'patch' }>): Promise<Uint8Array | undefined>
  /** What a patch made is the chunk: so many bytes did not have to come. */
  paid(bytes: number): void
}

export function createLikes(image: StoredImage, store: ImageStore): Likes {
  let resemblance: Resemblance | undefined
  let spent = 0
  let saved = 0

  const piecesLike = async (index: number): Promise<Uint8Array[]> => {
    resemblance ??= createResemblance(
      image.index,
      store.images().flatMap(other => (other.digest === image.digest ? [] : [other.index])),
    )
    const pieces: Uint8Array[] = []
    for (const { digest } of resemblance(index)) {
      // Gone, or damaged: it is like one piece less.
      const bytes = await store.read(digest).catch(() => undefined)
      if (bytes !== undefined) pieces.push(...piecesOf(bytes))
    }
    return pieces
  }

  return {
    async like(index) {
      if (spent > TRIAL + saved) return undefined
      const pieces = await piecesLike(index)
      if (pieces.length === 0) return undefined
      const salt = randomBytes(SALT)
      const names = namesOf(salt, pieces)
      spent += names.byteLength
      return { type: 'like', index, salt, names }
    },
    async patched({ index, length, bytes }) {
      const ref = image.index[index]
      if (ref === undefined || Math.max(length, bytes.byteLength) > ref.length) return undefined
      const patch = length === 0 ? bytes : await unpack(bytes, length)
      if (patch === undefined) return undefined
      try {
        return applyPatch(patch, await piecesLike(index), ref.length)
      } catch {
        return undefined
      }
    },
    paid(bytes) {
      saved += Math.max(0, bytes)
    },
  }
}
