import type { NodeId, Plan, RolloutHistory, RolloutStatusView, Statement, WaveView } from '../../protocol/index.ts'
import { beginOf, countBits, countSettled, endOf, hasBit, type LedgerValue, stagesOf } from '../../rollout/index.ts'

/** What a ledger's value says, as people and programs see it. `plan` is the plan that it names, where it is known here. */
export function statusOf(
  value: LedgerValue,
  plan: Statement<Plan> | undefined,
  nameOf: (node: NodeId) => string,
): RolloutStatusView {
  const total = plan?.body.roster.length ?? 0
  const { ok, failed } = countSettled(value)
  return {
    group: value.group,
    generation: value.generation,
    phase: value.phase,
    image: plan === undefined ? null : { digest: plan.body.image, version: plan.body.version },
    target: plan === undefined ? null : (value.targets[plan.body.layer] ?? null),
    total,
    ok,
    failed,
    pending: Math.max(0, total - ok - failed - countBits(value.writtenOff)),
    permits: value.permits.map(permit => ({
      token: permit.token,
      node: permit.node,
      name: nameOf(permit.node),
      kind: permit.kind,
      since: permit.since,
    })),
    waves: plan === undefined ? [] : wavesOf(value, plan.body),
    reason: value.reason,
  }
}

/** The stages of a plan that has more than one: its canaries and the rest, or its waves. */
function wavesOf(value: LedgerValue, plan: Plan): WaveView[] {
  const ends = stagesOf(plan)
  if (ends.length < 2) return []
  const phase = value.phase === 'paused' ? value.resumeTo : value.phase
  return ends.map((end, at) => {
    const view = { nodes: 0, ok: 0, failed: 0 }
    for (let index = beginOf(plan, at); index < end; index++) {
      view.nodes += 1
      if (hasBit(value.failed, index)) view.failed += 1
      else if (hasBit(value.ok, index)) view.ok += 1
    }
    const state =
      at < value.wave || phase === 'done'
        ? 'over'
        : at > value.wave
          ? 'waiting'
          : phase === 'soaking'
            ? 'soaking'
            : phase === 'canary' || phase === 'rolling'
              ? 'going'
              : 'over'
    return { ...view, state, until: state === 'soaking' ? value.soakUntil : null }
  })
}

/** The group's generations as its ledger remembers them, newest first. */
export function historyOf(value: LedgerValue): RolloutHistory {
  return {
    group: value.group,
    generations: value.history.toReversed().map(past => {
      const end = past.end ?? endOf(value)
      return {
        generation: past.generation,
        plan: past.plan,
        layer: past.layer,
        image: { digest: past.image, version: past.version },
        since: past.since,
        phase: end.phase,
        reason: end.reason,
        ok: end.ok,
        failed: end.failed,
        at: end.at,
      }
    }),
  }
}
