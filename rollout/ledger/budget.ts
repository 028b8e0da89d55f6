import type { NodeId, Plan } from '../../protocol/index.ts'
import type { Down, LedgerValue, Refusal } from './value.ts'

/**
 * Whether one more node of the plan may be down, or why not. K bounds all of the group and the zone cap each zone; in both, whoever holds a permit
 * counts, of whatever generation, and so does every member of the group that the asker believes to be down anyway, whether the plan names it or
 * not: what was down when the plan was drafted is not in it. Who was written off does not.
 */
export function overBudget(
  value: LedgerValue,
  plan: Plan | undefined,
  { node, zone: at, unavailable }: { node: NodeId; zone: string; unavailable: readonly Down[] },
  budget: number,
): Refusal | undefined {
  const down = new Set<NodeId>([node, ...value.permits.map(permit => permit.node)])
  const zoneNow = new Map<NodeId, string>(value.permits.map(permit => [permit.node, permit.zone]))
  for (const other of unavailable) {
    if (value.fenced.includes(other.node)) continue
    down.add(other.node)
    zoneNow.set(other.node, other.zone)
  }
  if (down.size > budget) {
    return {
      refused: 'budget',
      reason: `${down.size - 1} of the group's members are down or may be, and the budget is ${budget}`,
    }
  }
  if (plan === undefined || plan.zones === null) return undefined
  const zone = zoneIn(plan, node) ?? at
  let beside = 0
  for (const other of down) {
    // Of one that the plan does not name, what its permit says or the asker knows of it is taken.
    const where = zoneIn(plan, other) ?? zoneNow.get(other)
    if (other !== node && where === zone) beside += 1
  }
  if (beside < plan.zones.cap) return undefined
  return {
    refused: 'zone',
    reason: `${beside} of zone ${zone} are down or may be, and the plan allows ${plan.zones.cap} in one zone`,
  }
}

/** K of what is no part of a rollout: that of the last plan, but who asked for all at once asked for that once; and one while there was no plan yet. */
export const standingBudget = (plan: Plan | undefined): number =>
  plan === undefined || plan.strategy === 'at-once' ? 1 : plan.maxUnavailable

/** The zone that the plan has for a node; undefined when it names none. */
export function zoneIn(plan: Plan, node: NodeId): string | undefined {
  return plan.zones?.names[plan.zones.of[plan.roster.indexOf(node)] ?? -1]
}

/** The zones in which more permits are out than the plan allows: none, ever, where all permits are of this plan. */
export function crowdedZones(value: LedgerValue, plan: Plan): string[] {
  const counts = new Map<string, number>()
  for (const { node, zone } of value.permits) {
    const where = zoneIn(plan, node) ?? zone
    counts.set(where, (counts.get(where) ?? 0) + 1)
  }
  return plan.zones === null ? [] : [...counts].filter(([, count]) => count > plan.zones!.cap).map(([zone]) => zone)
}
