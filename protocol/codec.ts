import { Packr } from 'msgpackr'
import { FleetError } from './errors.ts'

// Plain msgpack: no records, no shared structures, no extension types beyond the standard ones. A peer written
// in another language can speak it, and no state is carried from one frame to the next.
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'number',
  encodeUndefinedAsNil: false,
} as ConstructorParameters<typeof Packr>[0])

/** Deepest nesting that `decode` lets through. Nothing of ours goes past 8. */
const MAX_DEPTH = 16

/** Msgpack bytes of a plain value (no class instances, no undefined). Keys keep their insertion order, so the same value built the same way gives the same bytes. */
export function encode(value: unknown): Uint8Array {
  const bytes = packr.encode(value)
  // msgpackr hands out views of a pooled buffer; a copy keeps statements immutable and lets the pool go.
  return Uint8Array.prototype.slice.call(bytes)
}

/**
 * The value of msgpack bytes that came from outside. Throws `too-large` past `maxBytes` and `corrupt` on
 * anything that is not one complete plain value.
 */
export function decode(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.byteLength > maxBytes)
    throw new FleetError('too-large', `message of ${bytes.byteLength} bytes is over the limit of ${maxBytes}`)
  let value: unknown
  try {
    value = packr.decode(bytes)
  } catch (cause) {
    throw new FleetError('corrupt', 'not valid msgpack', { cause })
  }
  assertPlain(value, 0)
  return value
}

function assertPlain(value: unknown, depth: number): void {
  if (depth > MAX_DEPTH) throw new FleetError('corrupt', `message nested deeper than ${MAX_DEPTH}`)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) {
    if (value === undefined || typeof value === 'function' || typeof value === 'symbol')
      throw new FleetError('corrupt', 'message holds a value that is not plain')
    return
  }
  if (Array.isArray(value)) {
    for (const item of value) assertPlain(item, depth + 1)
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    throw new FleetError('corrupt', 'message holds an extension type')
  for (const key of Object.keys(value)) assertPlain((value as Record<string, unknown>)[key], depth + 1)
}
