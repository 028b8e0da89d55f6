import { FleetError } from '../../protocol/index.ts'
import { SERF_LIMITS } from './limits.ts'

/**
 * Cuts a stream of bytes into msgpack values (msgpack spec, "Formats"), which follow one another with nothing between them. It
 * looks at the tags alone, each of them once, however small the pieces come, and builds nothing. `limit` is asked for
 * the size that the value at hand may have. Throws `too-large` as soon as a value says that it will be larger, and `corrupt` on an
 * extension type, an unused tag or nesting past SERF_LIMITS.depth; after that the stream cannot be made sense of any more.
 */
export function createFramer(limit: () => number): (chunk: Uint8Array) => Generator<Uint8Array, void> {
  /** What has come and was not given out: the value at hand begins at `start`, has been looked at up to `at`, and bytes are there up to `end`. */
  let buffer = new Uint8Array(256)
  let start = 0
  let at = 0
  let end = 0
  /** How many values each open array or map still lacks, the outermost first. Empty: between two values. */
  const lacking: number[] = []

  const append = (chunk: Uint8Array): void => {
    const kept = buffer.subarray(start, end)
    if (kept.byteLength + chunk.byteLength > buffer.byteLength) {
      buffer = new Uint8Array(Math.max(kept.byteLength + chunk.byteLength, 2 * kept.byteLength))
      buffer.set(kept)
    } else if (start > 0) buffer.copyWithin(0, start, end)
    buffer.set(chunk, kept.byteLength)
    at -= start
    end = kept.byteLength + chunk.byteLength
    start = 0
  }

  /** Steps over one tag and what belongs to it. False while it is not all there. */
  const step = (max: number): boolean => {
    const token = tokenAt(buffer, at, end)
    if (token === undefined) return false
    // Each value is a byte at least: a short message cannot claim to be a long one.
    if (at - start + token.bytes + token.values > max)
      throw new FleetError('too-large', `a message is over the limit of ${max} bytes`)
    if (at + token.bytes > end) return false
    at += token.bytes
    if (lacking.length > 0) lacking[lacking.length - 1]! -= 1
    if (token.values > 0) {
      if (lacking.length >= SERF_LIMITS.depth)
        throw new FleetError('corrupt', `a message is nested deeper than ${SERF_LIMITS.depth}`)
      lacking.push(token.values)
    }
    while (lacking.at(-1) === 0) lacking.pop()
    return true
  }

  return function* (chunk) {
    append(chunk)
    while (at < end && step(limit())) {
      if (lacking.length > 0) continue
      const value = buffer.slice(start, at)
      start = at
      yield value
    }
  }
}

/** A tag with what directly follows it, and how many values it holds. Undefined when not even that can be told yet. */
interface Token {
  readonly bytes: number
  readonly values: number
}

function tokenAt(buffer: Uint8Array, at: number, end: number): Token | undefined {
  const tag = buffer[at]!
  if (tag <= 0x7f || tag >= 0xe0) return { bytes: 1, values: 0 } // fixint
  if (tag <= 0x8f) return { bytes: 1, values: 2 * (tag & 0x0f) } // fixmap
  if (tag <= 0x9f) return { bytes: 1, values: tag & 0x0f } // fixarray
  if (tag <= 0xbf) return { bytes: 1 + (tag & 0x1f), values: 0 } // fixstr
  switch (tag) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return { bytes: 1, values: 0 }
    case 0xcc: // uint8
    case 0xd0: // int8
      return { bytes: 2, values: 0 }
    case 0xcd: // uint16
    case 0xd1: // int16
      return { bytes: 3, values: 0 }
    case 0xca: // float32
    case 0xce: // uint32
    case 0xd2: // int32
      return { bytes: 5, values: 0 }
    case 0xcb: // float64
    case 0xcf: // uint64
    case 0xd3: // int64
      return { bytes: 9, values: 0 }
    case 0xc4: // bin
    case 0xc5:
    case 0xc6:
      return counted(buffer, at, end, 1 << (tag - 0xc4), 1, 0)
    case 0xd9: // str
    case 0xda:
    case 0xdb:
      return counted(buffer, at, end, 1 << (tag - 0xd9), 1, 0)
    case 0xdc: // array
    case 0xdd:
      return counted(buffer, at, end, 2 << (tag - 0xdc), 0, 1)
    case 0xde: // map
    case 0xdf:
      return counted(buffer, at, end, 2 << (tag - 0xde), 0, 2)
    default:
      throw new FleetError('corrupt', 'a message holds an extension type or an unused tag')
  }
}

/** A tag with a length of `size` bytes behind it, which counts bytes, or values. */
function counted(
  buffer: Uint8Array,
  at: number,
  end: number,
  size: number,
  perBytes: number,
  perValues: number,
): Token | undefined {
  if (at + 1 + size > end) return undefined
  let length = 0
  for (let i = 1; i <= size; i++) length = length * 256 + buffer[at + i]!
  return { bytes: 1 + size + length * perBytes, values: length * perValues }
}
