import type { Millis } from '../../protocol/index.ts'

/** How much somebody may still ask for now: a token bucket, counted in units. */
export interface Allowance {
  /** True, and the units are spent, when so many are left. */
  spend(now: Millis, units: number): boolean
}

/** Holds `burst` units at most, and gets `perSecond` new ones. */
export function createAllowance(now: Millis, perSecond: number, burst: number): Allowance {
  let left = burst
  let at = now
  return {
    spend(now, units) {
      left = Math.min(burst, left + (Math.max(0, now - at) / 1000) * perSecond)
      at = now
      if (left < units) return false
      left -= units
      return true
    },
  }
}
