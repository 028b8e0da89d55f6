import { budgetOf, type Millis, type NodeId, type Plan, type Policy, type Statement } from '../../protocol/index.ts'
import type { LedgerValue } from '../ledger/value.ts'

/** Why a plan that operators did sign is not to be begun here and now. */
export interface Objection {
  readonly refused:
    | 'expired' // its time is over
    | 'replayed' // it was begun once, and a plan is good for once
    | 'stale' // a later generation has been begun
    | 'wrong-group' // it names members of another group
    | 'over-budget' // it would have more down at once than the policy lets
  /** In a sentence that names the plan's number, the cause, and what to do. */
  readonly reason: string
}

export interface Surroundings {
  readonly now: Millis
  readonly policy: Policy
  /** The members that are known, of any group. */
  readonly members: readonly { readonly id: NodeId; readonly name: string; readonly group: string }[]
  /** The group's ledger as it is known; undefined where nothing was heard of it. */
  readonly value: LedgerValue | undefined
}

/**
 * What speaks against a plan, or undefined. That its signatures hold and are enough has been seen to before (`openPlan`); what only the ledger can
 * decide, as whether another generation is under way, is decided there. A plan that the ledger is at work on now is never objected to.
 */
export function objectionTo(plan: Statement<Plan>, around: Surroundings): Objection | undefined {
  const { generation, group, notAfter } = plan.body
  const { value, now } = around
  const underWay = value?.plan === plan.id
  if (underWay && value.phase !== 'done' && value.phase !== 'rolled-back' && value.phase !== 'aborted') return undefined
  const begun = underWay ? value.phase : value?.history.find(past => past.plan === plan.id)?.end?.phase
  if (begun !== undefined)
    return {
      refused: 'replayed',
      reason: `plan ${generation} for group ${group} was begun before and is ${begun}; a plan is good for once: draft another`,
    }
  if (value !== undefined && generation <= value.generation)
    return {
      refused: 'stale',
      reason: `generation ${generation} is not newer than generation ${value.generation} of group ${group}; draft the plan again`,
    }
  if (now > notAfter)
    return {
      refused: 'expired',
      reason: `plan ${generation} for group ${group} expired on ${new Date(notAfter).toISOString()}; draft it again`,
    }
  return overPolicy(plan.body, around)
}

/** What policy and membership have against a plan, whatever the ledger says. */
export function overPolicy(
  plan: Plan,
  { policy, members }: Pick<Surroundings, 'policy' | 'members'>,
): Objection | undefined {
  const { generation, group } = plan
  const roster = new Set(plan.roster)
  const stranger = members.find(member => roster.has(member.id) && member.group !== group)
  if (stranger !== undefined)
    return {
      refused: 'wrong-group',
      reason: `plan ${generation} for group ${group} names ${stranger.name}, which is of group ${stranger.group}; a plan is for the members of one group`,
    }
  // A plan for some of the group is measured by all of it, and members that are not known here yet are no reason to be stricter.
  const size = Math.max(roster.size, members.filter(member => member.group === group).length)
  const allowed = budgetOf(policy, group, size)
  if (allowed === undefined || plan.maxUnavailable <= allowed) return undefined
  return {
    refused: 'over-budget',
    reason: `plan ${generation} would have ${plan.maxUnavailable} of group ${group} down at once, and policy ${policy.version} lets ${allowed} of its ${size} members`,
  }
}
