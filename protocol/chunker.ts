import { sha256 } from './keys.ts'

/**
 * Content-defined chunking: FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking. Sizes in bytes. Part of the
 * wire format: peers only share chunks when they cut alike, so every constant here is frozen, with golden vectors in test/golden.
 */
export const CHUNK = { min: 16 * 1024, target: 64 * 1024, max: 256 * 1024 } as const

/** The gear table: entry i is the first four bytes, big-endian, of SHA-256("fleetd gear i"). */
export const GEAR = Int32Array.from(
  { length: 256 },
  (_, index) => Number.parseInt(sha256(Buffer.from(`fleetd gear ${index}`)).slice(0, 8), 16) | 0,
)

// Normalisation level 2: 16 bits are expected to be zero once in 64 KiB; before the target two bits more are asked for,
// after it two fewer. The high bits depend on the last 32 bytes, the low ones on fewer.
const MASK_BEFORE_TARGET = 0xffff_c000 | 0
const MASK_AFTER_TARGET = 0xfffc_0000 | 0

/** The length of the first chunk of `data`, which is the rest of the input or at least CHUNK.max bytes of it. */
export function cut(data: Uint8Array, from = 0): number {
  const length = data.byteLength - from
  if (length <= CHUNK.min) return length
  const target = from + Math.min(length, CHUNK.target)
  const end = from + Math.min(length, CHUNK.max)
  let hash = 0
  let at = from + CHUNK.min
  for (; at < target; at++) {
    hash = ((hash << 1) + GEAR[data[at]!]!) | 0
    if ((hash & MASK_BEFORE_TARGET) === 0) return at + 1 - from
  }
  for (; at < end; at++) {
    hash = ((hash << 1) + GEAR[data[at]!]!) | 0
    if ((hash & MASK_AFTER_TARGET) === 0) return at + 1 - from
  }
  return end - from
}

/** Cuts a stream into chunks. Where the pieces of the input begin and end makes no difference to the result. */
export async function* chunks(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0)
  for await (const piece of input) {
    held =
      held.byteLength === 0
        ? Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
        : Buffer.concat([held, piece])
    let at = 0
    while (held.byteLength - at >= CHUNK.max) {
      const length = cut(held, at)
      yield held.subarray(at, at + length)
      at += length
    }
    // What is kept outlives this turn, and the source may use its buffer again.
    held = Buffer.from(held.subarray(at))
  }
  let at = 0
  while (at < held.byteLength) {
    const length = cut(held, at)
    yield held.subarray(at, at + length)
    at += length
  }
}
