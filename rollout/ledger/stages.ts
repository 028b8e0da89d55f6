import { type Millis, millis, type Plan, type RolloutPhase } from '../../protocol/index.ts'
import { countBits, hasBit } from './bits.ts'
import type { LedgerValue } from './value.ts'

/**
 * Where each stage of a plan ends in roster order: the canaries and then everybody, wave by wave, or everybody at once. The last stage is the whole
 * roster, so that whoever was left behind by `promote` has its turn in it.
 */
export function stagesOf(plan: Plan): readonly number[] {
  if (plan.canary > 0) return [plan.canary, plan.roster.length]
  return plan.waves.length > 0 ? plan.waves : [plan.roster.length]
}

/** How many of the roster, from its beginning, may go in the stage that is under way. */
export const reach = (value: LedgerValue, plan: Plan): number => stagesOf(plan)[value.wave] ?? plan.roster.length

/** The first node that a stage adds. */
export const beginOf = (plan: Plan, wave: number): number => (wave === 0 ? 0 : (stagesOf(plan)[wave - 1] ?? 0))

const isLast = (value: LedgerValue, plan: Plan): boolean => value.wave >= stagesOf(plan).length - 1

/** Phase of a stage while its nodes are being replaced. */
export const phaseOf = (plan: Plan, wave: number): 'canary' | 'rolling' =>
  wave === 0 && plan.canary > 0 ? 'canary' : 'rolling'

/** Nodes that are well on the plan's image, and nodes that failed: one that failed after its replacement counts among the latter alone. */
export function countSettled({ ok, failed }: Pick<LedgerValue, 'ok' | 'failed'>): { ok: number; failed: number } {
  const count = { ok: 0, failed: 0 }
  for (let index = 0; index < failed.length * 8; index++) {
    if (hasBit(failed, index)) count.failed += 1
    else if (hasBit(ok, index)) count.ok += 1
  }
  return count
}

/**
 * Whether a generation has reached its failure limit: a canary has failed, or as many nodes as the plan allows. From then on the only way is
 * back (I7), and where there is nothing to go back to, nobody goes any more.
 */
export function hasFailed({ failed }: LedgerValue, plan: Plan): boolean {
  for (let index = 0; index < plan.canary; index++) if (hasBit(failed, index)) return true
  return countBits(failed) >= plan.maxFailed
}

/** The image that a plan is undone to; null where there is no way back. */
export const wayBack = ({ previous, reversible }: Plan): Plan['previous'] => (reversible ? previous : null)

/** Why there is no way back, in words that follow what failed. */
export const noWayBack = ({ reversible, version }: Plan): string =>
  reversible
    ? 'there is no image before it to go back to'
    : `there is no way back past ${version}, which says so of itself`

/** Moves the phase on when what it waited for has come about. `progressAt` is the time of the action that is being applied. */
export function advance(value: LedgerValue, plan: Plan): LedgerValue {
  switch (value.phase) {
    case 'canary':
    case 'rolling':
      return forward(value, plan)
    case 'reversing':
      return backward(value, plan)
    default:
      return value
  }
}

/** The next stage, or the end: what comes after a soak, and after a stage that has none. */
export function nextStage(value: LedgerValue, plan: Plan): LedgerValue {
  const going = { ...value, soakUntil: 0 as Millis, resumeTo: null, reason: plan.reason }
  if (isLast(value, plan)) {
    return { ...going, phase: 'done', targets: { ...value.targets, [plan.layer]: plan.image } }
  }
  return advance({ ...going, wave: value.wave + 1, phase: phaseOf(plan, value.wave + 1) }, plan)
}

function forward(value: LedgerValue, plan: Plan): LedgerValue {
  const end = reach(value, plan)
  for (let index = 0; index < end; index++) if (!hasGone(value, index)) return value
  const last = isLast(value, plan)
  if (last && value.permits.length > 0) return value
  const wait = last ? plan.analysis : leftAfter(value, plan, end) ? plan.soak : 0
  if (wait === 0) return nextStage(value, plan)
  const who = last ? 'all nodes' : plan.canary > 0 ? 'the canaries' : `wave ${value.wave + 1} of ${plan.waves.length}`
  return {
    ...value,
    phase: 'soaking',
    soakUntil: millis(value.progressAt + wait),
    reason: `${who} must stay well for ${wait / 1000} s`,
  }
}

/** A canary that failed has not gone: its failure takes the rollout back, or an operator promotes it. */
function hasGone(value: LedgerValue, index: number): boolean {
  if (hasBit(value.ok, index) || hasBit(value.writtenOff, index)) return true
  return value.phase !== 'canary' && hasBit(value.failed, index)
}

/** Whether anybody is left to go after this stage. Nobody waits for the sake of nobody. */
function leftAfter(value: LedgerValue, plan: Plan, end: number): boolean {
  for (let index = end; index < plan.roster.length; index++) if (!hasGone(value, index)) return true
  return false
}

function backward(value: LedgerValue, plan: Plan): LedgerValue {
  for (let index = 0; index < plan.roster.length; index++)
    if (hasBit(value.ok, index) && !hasBit(value.writtenOff, index)) return value
  if (value.permits.length > 0) return value
  const { [plan.layer]: _, ...others } = value.targets
  const targets = plan.previous === null ? others : { ...others, [plan.layer]: plan.previous }
  return { ...value, phase: 'rolled-back', targets }
}

/** A phase that ends a generation: nothing is granted, and a new plan may start. */
export const isOver = (phase: RolloutPhase): boolean =>
  phase === 'idle' || phase === 'done' || phase === 'rolled-back' || phase === 'aborted'

export const limitReached = (plan: Plan): string =>
  `generation ${plan.generation} has reached its failure limit with ${plan.version}, and ${noWayBack(plan)}: abort it and start another`
