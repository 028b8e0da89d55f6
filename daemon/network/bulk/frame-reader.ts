import { FleetError } from '../../../protocol/index.ts'

/** A length of up to 35 bits: five bytes of seven each. */
const LENGTH_BITS = 35
/** Shorter frames share a pool of Node.js. Bytes. */
const SHORT = 4 * 1024

/**
 * Puts length-prefixed frames together from pieces, and gives each to `whole`. Every byte is copied once, to where it stays: a frame's memory is taken when its length is
 * known, and the system gives it as bytes come, so that one that says 2 MiB and comes in crumbs holds no more than came. `take` throws `corrupt` on a length over the
 * limit; nothing may be given to it after that.
 */
export function createFrameReader(
  maxFrame: number,
  whole: (frame: Uint8Array) => void,
): { take(piece: Uint8Array): void; readonly inTheMiddle: boolean } {
  let length = 0
  let bits = 0
  let frame: Buffer | undefined
  let filled = 0
  return {
    take(piece) {
      for (let at = 0; at < piece.byteLength; ) {
        if (frame === undefined) {
          const byte = piece[at++]!
          length += (byte & 0x7f) * 2 ** bits
          bits += 7
          if (length > maxFrame || (byte > 0x7f && bits === LENGTH_BITS))
            throw new FleetError('corrupt', `malformed frame: longer than ${maxFrame} bytes`)
          if (byte > 0x7f) continue
          frame = length < SHORT ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length)
          filled = 0
        }
        const some = Math.min(length - filled, piece.byteLength - at)
        frame.set(at === 0 && some === piece.byteLength ? piece : piece.subarray(at, at + some), filled)
        at += some
        filled += some
        if (filled < length) continue
        const done = frame
        frame = undefined
        length = 0
        bits = 0
        whole(done)
      }
    },
    get inTheMiddle() {
      return frame !== undefined || bits > 0
    },
  }
}
