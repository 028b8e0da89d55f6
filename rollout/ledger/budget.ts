import type { NodeId, Plan } from '../../protocol/index.ts'
import type { LedgerValue, Refusal } from './value.ts'

/**
 * Whether one more node of the plan may be down, or why not. K bounds all of the group and the zone cap each zone; in both, whoever holds a permit
 * counts, of whatever generation, and so does every roster member that the asker believes to be down anyway.
 */
export function overBudget(
  value: LedgerValue,
  plan: Plan,
  node: NodeId,
  unavailable: readonly NodeId[],
): Refusal | undefined {
  const down = new Set<NodeId>([node, ...value.permits.map(permit => permit.node)])
  const roster = new Set(plan.roster)
  for (const other of unavailable) if (roster.has(other) && !value.fenced.includes(other)) down.add(other)
  if (down.size > plan.maxUnavailable) {
    return {
      refused: 'budget',
      reason: `${down.size - 1} of the group's members are down or may be, and the budget is ${plan.maxUnavailable}`,
    }
  }
  if (plan.zones === null) return undefined
  const zone = zoneIn(plan, node)
  let beside = 0
  for (const other of down) {
    // A permit of an older generation may be of a node that this plan does not name; it is taken at its own word then.
    const where = zoneIn(plan, other) ?? value.permits.find(permit => permit.node === other)?.zone
    if (other !== node && where === zone) beside += 1
  }
  if (beside < plan.zones.cap) return undefined
  return {
    refused: 'zone',
    reason: `${beside} of zone ${zone} are down or may be, and the plan allows ${plan.zones.cap} in one zone`,
  }
}

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
