import type { Profile } from './profiles.ts'

/**
 * How long a suspicion lasts before its subject counts as failed, in milliseconds from its beginning.
 *
 * `max - (max - min) * ln(confirmations + 1) / ln(k + 1)`, at least min, with min = mult * max(1, log10 N) * interval and
 * max = maxMult * min: Lifeguard (arXiv 1707.00788, §IV-B) with memberlist's k = mult - 2. `confirmations` counts the
 * observers beyond the first. Where too few others could confirm, min holds at once.
 */
export function suspicionTimeout(profile: Profile, members: number, confirmations: number): number {
  const min = profile.suspicionMult * Math.max(1, Math.log10(Math.max(1, members))) * profile.probeInterval
  const k = profile.suspicionMult - 2
  if (k < 1 || members - 2 < k) return min
  const max = profile.suspicionMaxMult * min
  return Math.max(min, max - ((max - min) * Math.log(confirmations + 1)) / Math.log(k + 1))
}
