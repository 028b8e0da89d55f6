import { isDeepStrictEqual } from 'node:util'
import { type ErrorCode, FleetError } from '../../protocol/index.ts'

/**
 * One decoder of bytes that come from outside. To add one: a file in targets/ that exports a Target, and a line in
 * targets/index.ts; its corpus is the folder of its name in corpus/, which may begin empty.
 */
export interface Target {
  readonly name: string
  /** The most bytes that reach the decoder in a daemon, and a few more, so that its own limit is met too. */
  readonly maxBytes: number
  /** The codes that a refusal may have. Anything else that is thrown is a finding. */
  readonly refusals: readonly ErrorCode[]
  /** Well-formed inputs to begin with, and the worst that anybody could think of. The same at every call. */
  seeds(): readonly Uint8Array[]
  /** Does to the input what the daemon does, and gives what comes of it. */
  run(input: Uint8Array): unknown
  /** Throws `Broken` when something does not hold of what came out of it, e.g. by `assertSame`. Its time does not count. */
  verify?(value: never, input: Uint8Array): void | Promise<void>
  /** Makes an input that was changed count again, e.g. by signing it anew, so that what lies behind the check is reached. */
  mend?(input: Uint8Array): Uint8Array
  /** What has to be there before the first input, and goes after the last. */
  open?(): Promise<void>
  close?(): Promise<void>
}

/** A property of a decoder that does not hold. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** What was decoded must be the same after it has been encoded and decoded once more. */
export function assertSame(what: string, before: unknown, after: unknown): void {
  if (!isDeepStrictEqual(plain(before), plain(after)))
    throw new Broken(`${what} is another value after it was encoded and decoded again`)
}

/** Byte strings are Buffers in what was decoded, and -0 is the same number as 0. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .map(([key, each]) => [key, plain(each)])
  return value === 0 ? 0 : value
}

export const isRefusal = (error: unknown, target: Target): boolean =>
  error instanceof FleetError && target.refusals.includes(error.code)

/** An array of `count` nils, which msgpack writes in one byte each: the most values that so many bytes can make. */
export const nils = (count: number): null[] => Array.from({ length: count }, () => null)
/** A map of `count` entries with the shortest of keys. */
export const crowd = (count: number): Record<string, null> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [index.toString(36), null]))
/** Arrays in arrays. */
export const nested = (depth: number): Uint8Array => Uint8Array.from([...new Array(depth).fill(0x91), 0xc0])
/** What every decoder of msgpack should shrug off: lengths that nothing follows, extension types, and nesting. */
export const HOSTILE: readonly Uint8Array[] = [
  new Uint8Array(),
  Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff),
  // msgpackr's record definition, and its extension for a reference
  Uint8Array.of(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0xc0),
  Uint8Array.of(0xd6, 0x70, 0x00, 0x00, 0x00, 0x01),
  nested(200_000),
  // { __proto__: { polluted: true } }
  Uint8Array.from([0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, 0xa8, ...Buffer.from('polluted'), 0xc3]),
]
