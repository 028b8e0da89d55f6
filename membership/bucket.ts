import type { Millis } from '../protocol/index.ts'

/** A token bucket: up to `burst` at once, and `rate` more every second. */
export interface Bucket {
  /** Takes `amount` when there is that much; false, and nothing is taken, otherwise. At most `burst`. */
  take(now: Millis, amount: number): boolean
  /** When there will be `amount`. */
  readyAt(now: Millis, amount: number): number
}

export function createBucket(rate: number, burst: number): Bucket {
  let level = burst
  let at = 0
  const fill = (now: Millis): void => {
    if (now > at) level = Math.min(burst, level + ((now - at) * rate) / 1_000)
    at = Math.max(at, now)
  }
  return {
    take(now, amount) {
      fill(now)
      if (level < amount) return false
      level -= amount
      return true
    },
    readyAt(now, amount) {
      fill(now)
      return level >= amount ? now : Math.ceil(now + ((Math.min(amount, burst) - level) * 1_000) / rate)
    },
  }
}
