/** Chunks are looked at together when they are so many, so that what is on its way counts little. Bytes. */
const SLICE = 1024 * 1024
/** How long a rate is held to be what it was while nothing is sent that would tell. Milliseconds. */
const REMEMBERED = 30_000

/**
 * Whether it pays to pack the chunks of one channel. Pure; docs/decisions/0030 tells the rule. It knows two rates: what the peer gets packed and what it
 * gets plain, both in bytes of chunks over all the time that passes; the peer asks for more as it gets what it asked for, so that is the rate of
 * the link, or what the peer wants of us where that is less.
 */
export interface Pays {
  /** The next chunk is to be packed where it can be. */
  readonly packs: boolean
  /** A chunk of `bytes` was given to the channel at `now` (milliseconds of any clock); `packing` milliseconds of that went into packing it, or trying to. */
  sent(now: number, chunk: { readonly bytes: number; readonly packing: number }): void
}

export function createPays(start: number): Pays {
  // At first it is: what changed between two versions is often no more than one slice.
  let packs = true
  let slice = { start, bytes: 0, packed: 0, packing: 0 }
  let plain: { readonly rate: number; readonly at: number } | undefined
  /** What one packer packs, with its waiting for its turn. Bytes a millisecond. */
  let packer = 0

  const ended = (now: number): void => {
    const time = Math.max(0.001, now - slice.start)
    const rate = slice.bytes / time
    if (packs) {
      if (slice.packing > 0) packer = slice.packed / slice.packing
      const held = plain !== undefined && now - plain.at < REMEMBERED ? plain.rate : Number.POSITIVE_INFINITY
      // It is packing that holds the channel up: without it there may be more.
      packs = slice.packing < time / 2 || rate > held
    } else {
      plain = { rate, at: now }
      packs = rate < packer * 0.75
    }
    slice = { start: now, bytes: 0, packed: 0, packing: 0 }
  }

  return {
    get packs() {
      return packs
    },
    sent(now, { bytes, packing }) {
      slice.bytes += bytes
      slice.packing += packing
      if (packing > 0) slice.packed += bytes
      if (slice.bytes >= SLICE) ended(now)
    },
  }
}
