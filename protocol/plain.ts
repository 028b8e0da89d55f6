import { FleetError } from './errors.ts'

/** Deepest nesting that is let through. Nothing of ours goes past 8. */
const MAX_DEPTH = 16
/**
 * Most values that are let through, counting every element, key and value. They cost as little as a byte each on the wire, and
 * some 60 ns and 20 bytes each to build. Nothing of ours needs more than 160 000: 2 048 keys of anti-entropy at their longest.
 */
const MAX_VALUES = 256 * 1024
/** Most entries of maps, in all maps together: an entry costs a microsecond or two, because its key is looked up and kept. */
const MAX_ENTRIES = 32 * 1024

/**
 * Throws `corrupt` unless `bytes` are one complete msgpack value (msgpack spec, "Formats") of nil, booleans, numbers, text, byte
 * strings, arrays and maps, with bounded nesting and a bounded number of values. Looks at the tags alone and builds nothing, so that no decoder ever sees an extension type:
 * msgpackr's own would have it define records and compile readers for them out of a stranger's bytes.
 */
export function assertPlain(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** How many values each open array or map still lacks, the outermost first. */
  const lacking = [1]
  let at = 0
  let values = 0
  let entries = 0

  const skip = (length: number): void => {
    at += length
    if (at > bytes.byteLength) throw new FleetError('corrupt', 'message is cut short')
  }
  /** An unsigned big-endian number of 1, 2 or 4 bytes. */
  const length = (size: number): number => {
    skip(size)
    return size === 1 ? view.getUint8(at - 1) : size === 2 ? view.getUint16(at - 2) : view.getUint32(at - 4)
  }
  const enter = (count: number): void => {
    // Each value is a byte at least: a short message cannot claim to be a long one.
    if (count > bytes.byteLength - at) throw new FleetError('corrupt', 'message is cut short')
    if (count === 0) return
    values += count
    if (values > MAX_VALUES) throw new FleetError('corrupt', `message of more than ${MAX_VALUES} values`)
    if (lacking.length > MAX_DEPTH) throw new FleetError('corrupt', `message nested deeper than ${MAX_DEPTH}`)
    lacking.push(count)
  }
  const enterMap = (count: number): void => {
    enter(2 * count)
    entries += count
    if (entries > MAX_ENTRIES) throw new FleetError('corrupt', `message of more than ${MAX_ENTRIES} entries`)
  }

  for (;;) {
    while (lacking.at(-1) === 0) lacking.pop()
    if (lacking.length === 0) break
    lacking[lacking.length - 1]! -= 1
    skip(1)
    const tag = bytes[at - 1]!
    if (tag <= 0x7f || tag >= 0xe0) continue // fixint
    if (tag <= 0x8f)
      enterMap(tag & 0x0f) // fixmap
    else if (tag <= 0x9f)
      enter(tag & 0x0f) // fixarray
    else if (tag <= 0xbf)
      skip(tag & 0x1f) // fixstr
    else if (tag === 0xc0 || tag === 0xc2 || tag === 0xc3)
      continue // nil, false, true
    else if (tag >= 0xc4 && tag <= 0xc6)
      skip(length(1 << (tag - 0xc4))) // bin
    else if (tag === 0xca || tag === 0xcb)
      skip(4 << (tag - 0xca)) // float
    else if (tag >= 0xcc && tag <= 0xcf)
      skip(1 << (tag - 0xcc)) // uint
    else if (tag >= 0xd0 && tag <= 0xd3)
      skip(1 << (tag - 0xd0)) // int
    else if (tag >= 0xd9 && tag <= 0xdb)
      skip(length(1 << (tag - 0xd9))) // str
    else if (tag === 0xdc || tag === 0xdd)
      enter(length(2 << (tag - 0xdc))) // array
    else if (tag === 0xde || tag === 0xdf)
      enterMap(length(2 << (tag - 0xde))) // map
    else throw new FleetError('corrupt', 'message holds an extension type')
  }
  if (at !== bytes.byteLength) throw new FleetError('corrupt', 'message goes on behind its end')
}
