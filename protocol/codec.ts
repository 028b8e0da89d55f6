import { Packr } from 'msgpackr'
import { FleetError } from './errors.ts'
import { assertPlain } from './plain.ts'

// Plain msgpack: no records, no shared structures, no extension types beyond the standard ones. A peer written
// in another language can speak it, and no state is carried from one frame to the next.
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: false,
} as ConstructorParameters<typeof Packr>[0])

/** Msgpack bytes of a plain value (no class instances, no undefined). Keys keep their insertion order, so the same value built the same way gives the same bytes. */
export function encode(value: unknown): Uint8Array {
  const bytes = packr.encode(value)
  // msgpackr hands out views of a pooled buffer; a copy keeps statements immutable and lets the pool go.
  return Uint8Array.prototype.slice.call(bytes)
}

/**
 * The value of msgpack bytes that came from outside. Throws `too-large` past `maxBytes` and `corrupt` on
 * anything that is not one complete plain value. Byte strings in it are views of `bytes`.
 */
export function decode(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.byteLength > maxBytes)
    throw new FleetError('too-large', `message of ${bytes.byteLength} bytes is over the limit of ${maxBytes}`)
  assertPlain(bytes)
  try {
    // msgpackr hangs a DataView on the array that it is given: let that be one of ours.
    return packr.decode(bytes.subarray())
  } catch (cause) {
    throw new FleetError('corrupt', 'not valid msgpack', { cause })
  }
}
