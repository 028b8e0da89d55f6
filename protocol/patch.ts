import { createHash } from 'node:crypto'
import { GEAR } from './chunker.ts'
import { decode, encode } from './codec.ts'
import { FleetError } from './errors.ts'
import { LIMITS } from './limits.ts'

/*
 * A chunk as what differs from another. Who asks for it cuts what it has in that place into small pieces and names them; who sends it cuts the chunk
 * in the same way, and sends numbers in place of the pieces that it finds among the names. A name is eight bytes of a salted hash: the salt is new each
 * time, so that nobody can prepare two pieces that go by one name. Whatever comes out has to match the chunk's own digest.
 */

/** Pieces are cut where the chunker's rolling hash says so, between these lengths, about 1 KiB on average. Both ends have to cut alike to find anything in common. Bytes. */
export const PIECE = { min: 256, max: 4096 } as const
/** Ten bits, once in 1 KiB. */
const MASK = 0xffc0_0000 | 0
/** Bytes of a piece's name. */
export const PIECE_NAME = 8
/** Bytes of a salt. */
export const SALT = 8

/** Cuts bytes into pieces, which are views of them. */
export function piecesOf(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let from = 0; from < bytes.byteLength; ) {
    const end = Math.min(bytes.byteLength, from + PIECE.max)
    let at = Math.min(end, from + PIECE.min)
    for (let hash = 0; at < end; ) {
      hash = ((hash << 1) + GEAR[bytes[at++]!]!) | 0
      if ((hash & MASK) === 0) break
    }
    pieces.push(bytes.subarray(from, at))
    from = at
  }
  return pieces
}

const nameOf = (salt: Uint8Array, piece: Uint8Array): bigint =>
  createHash('sha256').update(salt).update(piece).digest().readBigUInt64BE()

/** The names of pieces, one after the other. */
export function namesOf(salt: Uint8Array, pieces: readonly Uint8Array[]): Uint8Array {
  const names = Buffer.alloc(pieces.length * PIECE_NAME)
  for (const [at, piece] of pieces.entries()) names.writeBigUInt64BE(nameOf(salt, piece), at * PIECE_NAME)
  return names
}

/** The chunk as numbers of named pieces and the bytes that are in none of them. Undefined where none of them is in it. */
export function makePatch(chunk: Uint8Array, salt: Uint8Array, names: Uint8Array): Uint8Array | undefined {
  const view = Buffer.from(names.buffer, names.byteOffset, names.byteLength)
  const numbers = new Map<bigint, number>()
  for (let at = 0; at + PIECE_NAME <= view.byteLength; at += PIECE_NAME)
    numbers.set(view.readBigUInt64BE(at), at / PIECE_NAME)
  /** A number of a piece, or less than zero: so many bytes of the rest. */
  const steps: number[] = []
  const rest: Uint8Array[] = []
  for (const piece of piecesOf(chunk)) {
    const number = numbers.get(nameOf(salt, piece))
    if (number !== undefined) steps.push(number)
    else {
      rest.push(piece)
      if ((steps.at(-1) ?? 0) < 0) steps[steps.length - 1] = steps.at(-1)! - piece.byteLength
      else steps.push(-piece.byteLength)
    }
  }
  return steps.every(step => step < 0) ? undefined : encode([steps, Buffer.concat(rest)])
}

/** The chunk of `length` bytes that a patch makes of the pieces that were named; never builds more than that. Throws `corrupt` or `too-large` on what is no patch for them. */
export function applyPatch(patch: Uint8Array, pieces: readonly Uint8Array[], length: number): Uint8Array {
  const raw = decode(patch, LIMITS.channelFrame)
  const [steps, rest] = Array.isArray(raw) ? (raw as unknown[]) : []
  if (!Array.isArray(steps) || !(rest instanceof Uint8Array)) throw new FleetError('corrupt', 'not a patch of a chunk')
  const chunk = new Uint8Array(length)
  let at = 0
  let taken = 0
  for (const step of steps as unknown[]) {
    const isRest = Number.isSafeInteger(step) && (step as number) < 0
    const piece = isRest ? rest.subarray(taken, taken - (step as number)) : pieces[step as number]
    const isShort = isRest && piece?.byteLength !== -(step as number)
    if (piece === undefined || isShort || at + piece.byteLength > length)
      throw new FleetError('corrupt', 'a patch that does not make the chunk it is for')
    if (isRest) taken += piece.byteLength
    chunk.set(piece, at)
    at += piece.byteLength
  }
  if (at !== length || taken !== rest.byteLength)
    throw new FleetError('corrupt', 'a patch that does not make the whole chunk')
  return chunk
}
