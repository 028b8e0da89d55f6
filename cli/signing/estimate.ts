import { type Millis, type Plan, windowsAt } from '../../protocol/index.ts'

/** How long it is taken to be from stopping a program to its successor's first good check. Nobody knows it before; this is what the estimate says it assumed. */
export const TAKES = 10_000

export interface Estimate {
  /** When every host takes `TAKES` to come up and then stays healthy for as long as it must. Milliseconds. */
  readonly likely: number
  /** When every host needs its whole deadline. Milliseconds. */
  readonly atMost: number
  /** When it can begin: now, or when its next window opens; null when that is never. Windows that close in between are not reckoned. */
  readonly begins: Millis | null
}

/** How long a plan takes when nothing fails: stage by stage, as many at once as the budget and the zone cap let. */
export function estimate(plan: Plan, now: Millis): Estimate {
  const stages =
    plan.canary > 0 ? [plan.canary, plan.roster.length] : plan.waves.length > 0 ? plan.waves : [plan.roster.length]
  let rounds = 0
  let begin = 0
  for (const end of stages) {
    rounds += roundsOf(plan, begin, end)
    begin = end
  }
  const waits = (stages.length - 1) * plan.soak + plan.analysis
  const window = windowsAt(plan.windows, now)
  return {
    likely: rounds * (TAKES + plan.minHealthy) + waits,
    atMost: rounds * Math.max(plan.deadline, plan.minHealthy) + waits,
    begins: window.open ? now : window.opens,
  }
}

/** One after another as many as may be down at once: bounded by the budget, and by the fullest zone where there is a cap. */
function roundsOf({ maxUnavailable, zones }: Plan, begin: number, end: number): number {
  const byBudget = Math.ceil((end - begin) / maxUnavailable)
  if (zones === null) return byBudget
  const counts = new Map<number, number>()
  for (const zone of zones.of.slice(begin, end)) counts.set(zone, (counts.get(zone) ?? 0) + 1)
  return Math.max(byBudget, ...[...counts.values()].map(count => Math.ceil(count / zones.cap)))
}
