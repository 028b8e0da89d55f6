import type { BundleSource } from '../../../rollout/index.ts'

export interface MemorySource extends BundleSource {
  /** Bytes that were read. */
  readonly given: number
  /** The most that was asked for at once. */
  readonly largest: number
}

/** A bundle in memory. `sizeKnown`: as of a file; false: as of what comes in piece by piece. */
export function memorySource(bytes: Uint8Array, sizeKnown = true): MemorySource {
  let at = 0
  let given = 0
  let largest = 0
  return {
    size: sizeKnown ? bytes.byteLength : undefined,
    get given() {
      return given
    },
    get largest() {
      return largest
    },
    async read(length) {
      largest = Math.max(largest, length)
      const piece = bytes.slice(at, at + length)
      at += piece.byteLength
      given += piece.byteLength
      return piece
    },
    async skip(length) {
      at += length
    },
  }
}
