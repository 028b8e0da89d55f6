import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { brotliCompress, brotliDecompress, constants } from 'node:zlib'
import pLimit from 'p-limit'

/** How a chunk may be packed on its way: Brotli (RFC 7932), which is what Node.js 20 has that packs best at the rate of a slow link. */
export type Packing = 'br'
export const PACKINGS: readonly Packing[] = ['br']

/** Of 0 to 11. 4 packs a ninth worse for half as much more speed, 6 no better (docs/decisions/0030). */
const QUALITY = 5
/** A window of 256 KiB, the largest chunk: as a power of two, and as the first four bits of what is packed with it (RFC 7932, section 9.1). */
const WINDOW = { bits: 18, code: 0b0011 } as const
/** What does not become smaller than this share of its size travels as it is: unpacking it would cost more than it saves. */
const WORTH = 0.95
/** Bytes that are looked at to tell whether a chunk can be packed. */
const SAMPLE = 4096
/** Bits of entropy a byte from which on it cannot. A sample of random bytes has 7.95; so has what was compressed before. */
const RANDOM = 7.8

/**
 * Brotli runs on the pool of threads that reads and writes files as well, of which there are four, and next to the thread that answers
 * probes: half of the cores for packing and as much for unpacking, so that neither waits long for the other.
 */
const atATime = Math.max(1, Math.min(2, availableParallelism() >> 1))
const packers = pLimit(atATime)
const unpackers = pLimit(atATime)

const compress = promisify(brotliCompress)
const decompress = promisify(brotliDecompress)

/** Whether there is a point in packing these bytes: a look at some of them, some microseconds. Wrong about what repeats itself over long distances alone. */
export function looksPackable(bytes: Uint8Array): boolean {
  const step = Math.max(1, Math.floor(bytes.byteLength / SAMPLE))
  const counts = new Uint16Array(256)
  let looked = 0
  for (let at = 0; at < bytes.byteLength && looked < SAMPLE; at += step, looked++) counts[bytes[at]!]! += 1
  let entropy = 0
  for (const count of counts) if (count > 0) entropy -= (count / looked) * Math.log2(count / looked)
  return entropy < RANDOM && looked > 0
}

/** Undefined where it does not pay. The time that it takes has the waiting for its turn in it. */
export function pack(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  return packers(async () => {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: WINDOW.bits,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.byteLength,
    }
    const packed = await compress(bytes, { params, chunkSize: Math.max(1024, bytes.byteLength) })
    return packed.byteLength < WORTH * bytes.byteLength ? packed : undefined
  })
}

/**
 * The bytes that were packed, of which there have to be exactly `length`; undefined where there are not, or it is nothing that `pack`
 * makes. Never holds more than that, whatever is in it, and no larger window than its own: a few bytes can ask a decoder for 16 MiB.
 */
export async function unpack(packed: Uint8Array, length: number): Promise<Uint8Array | undefined> {
  if (packed.byteLength >= length || (packed[0]! & 0b1111) !== WINDOW.code) return undefined
  return unpackers(async () => {
    try {
      const bytes = await decompress(packed, { chunkSize: Math.max(1024, length), maxOutputLength: length })
      return bytes.byteLength === length ? bytes : undefined
    } catch {
      return undefined
    }
  })
}
