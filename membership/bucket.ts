import type { Millis } from '../protocol/index.ts'

/** A token bucket: up to `burst` at once, and `rate` more every second. */
export interface Bucket {
  /** Takes `amount` when there is that much; false, and nothing is taken, otherwise. At most `burst`. */
  take(now: Millis, amount: number): boolean
  /** When there will be `amount`. */
  readyAt(now: Millis, amount: number): number
}

export function createBucket(rate: number, burst: number): Bucket {
  // Counted in thousandths, of which each millisecond brings `rate`: whole numbers, so that nothing is lost to rounding.
  let level = burst * 1_000
  let at = 0
  const fill = (now: Millis): void => {
    if (now > at) level = Math.min(burst * 1_000, level + (now - at) * rate)
    at = Math.max(at, now)
  }
  return {
    take(now, amount) {
      fill(now)
      if (level < amount * 1_000) return false
      level -= amount * 1_000
      return true
    },
    readyAt(now, amount) {
      fill(now)
      const lacking = Math.min(amount, burst) * 1_000 - level
      // The wait is rounded up by itself: beside the time of day a short one would round to none, and never be over.
      return lacking <= 0 ? now : Math.ceil(now) + Math.ceil(lacking / rate)
    },
  }
}
