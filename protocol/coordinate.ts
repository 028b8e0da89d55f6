import * as z from 'zod'

/**
 * Where a node stands in the space of round trips (Dabek et al., "Vivaldi", SIGCOMM 2004): the distance between two of them
 * estimates the round trip between their nodes. All lengths in seconds, as in Serf.
 */
export interface Coordinate {
  /** Eight numbers, each within +-10. */
  readonly vector: readonly number[]
  /** How far off its estimates are, relative to the round trip: 0 is never, 1.5 is "nothing is known yet". */
  readonly error: number
  /** What estimates to this node are off by, whoever makes them (Ledlie et al., NSDI 2007). Within +-10. */
  readonly adjustment: number
  /** The way from the node to the network's core, which every path shares: an access link. 0 to 10. */
  readonly height: number
}

export const COORDINATE_DIMENSIONS = 8
/** The error of a node that has measured nothing; it never gets larger. */
export const COORDINATE_ERROR_MAX = 1.5
/** No round trip is longer, and no component of a coordinate larger. Seconds. */
export const COORDINATE_SPAN = 10

const FLOATS = COORDINATE_DIMENSIONS + 3
/** 44: eleven IEEE 754 singles, big-endian; a single tells a nanosecond from the next at 10 ms. */
export const COORDINATE_BYTES = 4 * FLOATS

/** The bytes in which a coordinate travels: vector, height, error, adjustment. */
export function packCoordinate({ vector, height, error, adjustment }: Coordinate): Uint8Array {
  const bytes = new Uint8Array(COORDINATE_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of [...vector, height, error, adjustment].entries()) view.setFloat32(4 * index, value)
  return bytes
}

/** The coordinate in bytes from outside; undefined unless there is exactly one, with every number finite and in its range. */
export function unpackCoordinate(bytes: Uint8Array): Coordinate | undefined {
  if (bytes.byteLength !== COORDINATE_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const numbers = Array.from({ length: FLOATS }, (_, index) => view.getFloat32(4 * index))
  const vector = numbers.slice(0, COORDINATE_DIMENSIONS)
  const [height, error, adjustment] = numbers.slice(COORDINATE_DIMENSIONS) as [number, number, number]
  const coordinate = { vector, error, adjustment, height }
  return isSane(coordinate) ? coordinate : undefined
}

/** Whether a coordinate has the right shape and every number is in its range. */
export function isSane({ vector, error, adjustment, height }: Coordinate): boolean {
  return (
    vector.length === COORDINATE_DIMENSIONS &&
    vector.every(value => Math.abs(value) <= COORDINATE_SPAN) &&
    Math.abs(adjustment) <= COORDINATE_SPAN &&
    height >= 0 &&
    height <= COORDINATE_SPAN &&
    error >= 0 &&
    error <= COORDINATE_ERROR_MAX
  )
}

/** A coordinate as a field of a statement or frame. It stays bytes there: what is signed is what was sent. */
export const packedCoordinate = z.custom<Uint8Array>(
  value => value instanceof Uint8Array && unpackCoordinate(value) !== undefined,
  `expected a network coordinate of ${COORDINATE_BYTES} bytes with every number in its range`,
)
