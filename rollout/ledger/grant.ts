import type { Plan } from '../../protocol/index.ts'
import { hasBit } from './bits.ts'
import { overBudget, standingBudget } from './budget.ts'
import { refuse } from './refusal.ts'
import { hasFailed, isOver, limitReached, reach, stagesOf } from './stages.ts'
import type { Action, LedgerValue, Permit, Refusal } from './value.ts'

/** Who gives back a permit decides nothing about who gets the next: each grant is judged by itself. */
export function grant(
  value: LedgerValue,
  action: Extract<Action, { type: 'grant' }>,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  const { node, zone, now } = action
  const held = value.permits.find(permit => permit.node === node)
  if (held !== undefined) {
    const same =
      action.reboot === undefined
        ? held.kind !== 'reboot' && held.kind !== 'recover'
        : held.kind === 'reboot' && held.holder === action.reboot
    return same
      ? refuse('unchanged', 'it holds a permit already')
      : refuse('turn', `the host holds permit ${held.token} for something else (${held.kind}) until that is over`)
  }
  if (value.fenced.includes(node))
    return refuse('fenced', 'this node was written off; it has to join again as a new one')
  if (action.reboot !== undefined) return grantReboot(value, action, action.reboot, plan)
  if (plan === undefined) return refuse('phase', 'the ledger has no plan')
  const index = plan.roster.indexOf(node)
  if (index < 0) return refuse('not-in-roster', `plan ${plan.generation} does not name this node`)
  const kind = action.renew === true ? renewal(value) : turn(value, plan, index)
  if (typeof kind !== 'string') return kind
  if (kind === 'replace' && hasFailed(value, plan)) return refuse('denied', limitReached(plan))
  if (kind === 'replace' && now > plan.notAfter)
    return refuse('expired', `plan ${plan.generation} expired on ${new Date(plan.notAfter).toISOString()}`)
  const over = overBudget(value, plan, action, kind === 'renew' ? standingBudget(plan) : plan.maxUnavailable)
  return over ?? granted(value, { node, zone, kind, since: now })
}

/** A host that restarts under a rollout would look like one that the new image made ill, so it waits until that is over. */
function grantReboot(
  value: LedgerValue,
  action: Extract<Action, { type: 'grant' }>,
  holder: string,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  if (!isOver(value.phase))
    return refuse('phase', `generation ${value.generation} is ${value.phase}: a reboot waits until it is over`)
  const over = overBudget(value, plan, action, standingBudget(plan))
  return over ?? granted(value, { node: action.node, zone: action.zone, kind: 'reboot', since: action.now, holder })
}

const granted = (value: LedgerValue, permit: Omit<Permit, 'token' | 'generation'>): LedgerValue => ({
  ...value,
  nextToken: value.nextToken + 1,
  permits: [...value.permits, { token: value.nextToken, generation: value.generation, ...permit }],
  progressAt: permit.since,
})

/** A marked node is renewed between generations; within one it is replaced in its turn. */
function renewal(value: LedgerValue): 'renew' | Refusal {
  return value.phase === 'done' || value.phase === 'rolled-back'
    ? 'renew'
    : refuse('phase', `generation ${value.generation} is ${value.phase}`)
}

/** What this roster member may do in this phase, or why nothing. */
function turn(value: LedgerValue, plan: Plan, index: number): Permit['kind'] | Refusal {
  switch (value.phase) {
    case 'canary':
    case 'rolling':
      if (hasBit(value.ok, index)) return refuse('unchanged', 'it has done its part of this generation')
      if (hasBit(value.failed, index)) return refuse('turn', 'it failed in this generation')
      if (index < reach(value, plan)) return 'replace'
      return refuse(
        'turn',
        value.phase === 'canary'
          ? 'the canaries go first'
          : `wave ${value.wave + 1} of ${stagesOf(plan).length} is under way, and this node is of a later one`,
      )
    case 'soaking':
      return refuse('turn', value.reason)
    case 'reversing':
      return hasBit(value.ok, index) ? 'revert' : refuse('unchanged', 'it has nothing to undo')
    case 'paused':
      return refuse('phase', `the rollout is paused: ${value.reason}`)
    default:
      return refuse('phase', `generation ${value.generation} is ${value.phase}`)
  }
}
