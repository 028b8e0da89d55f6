import type { Profile } from './profiles.ts'

/** So many observers beyond the first bring the timeout down to its least: three of the five that a member has. */
const ENOUGH = 2

/** The shortest that a suspicion of silence lasts: `mult * max(1, log10 N) * interval`, milliseconds (SWIM; memberlist's form of it). */
export const suspicionMin = (profile: Profile, members: number): number =>
  profile.suspicionMult * Math.max(1, Math.log10(Math.max(1, members))) * profile.probeInterval

/**
 * How long a suspicion of silence lasts before its subject counts as failed, in milliseconds from its beginning.
 *
 * `max - (max - min) * ln(confirmations + 1) / ln(k + 1)`, at least min, with max = maxMult * min: Lifeguard
 * (arXiv 1707.00788, §IV-B) with k = 2. `confirmations` counts the observers beyond the first.
 * Where too few others could confirm, min holds at once.
 */
export function suspicionTimeout(profile: Profile, members: number, confirmations: number): number {
  const min = suspicionMin(profile, members)
  if (members - 2 < ENOUGH) return min
  const max = profile.suspicionMaxMult * min
  return Math.max(min, max - ((max - min) * Math.log(confirmations + 1)) / Math.log(ENOUGH + 1))
}

/**
 * How long a suspicion lasts whose author is not assigned to observe the subject in our view. Long enough for any reachable
 * subject to refute it; it is there so that a member that died while its observers changed does not stay alive for those who came later.
 */
export const strangerTimeout = (profile: Profile, members: number): number =>
  2 * profile.suspicionMaxMult * suspicionMin(profile, members)
