import type { AuditEntry } from '../../protocol/index.ts'

/** How something came to be: the entries of a log that led to it, the effect first and its first cause last. */
export interface Cause {
  /** The layer that it is about; null for the node itself. */
  readonly layer: string | null
  readonly steps: readonly AuditEntry[]
}

/** Kinds that are about the node's state and not about one replacement. */
const MARKS: readonly string[] = ['taint', 'drift', 'hotfix']

/**
 * Walks from what a node runs, and from what marks it, back to who ordered it, by what entries have in common: a step of a replacement names
 * its permit's token, the permit its plan, and the plan's entry who signed it and why. Pure.
 */
export function causesOf(entries: readonly AuditEntry[], layers: readonly string[]): Cause[] {
  return [
    ...layers.flatMap(layer => causeOfLayer(entries, layer) ?? []),
    ...causeOfMarks(entries).map(steps => ({ layer: steps[0]!.detail.layer ?? null, steps })),
  ]
}

function causeOfLayer(entries: readonly AuditEntry[], layer: string): Cause | undefined {
  const change = entries.findLast(
    entry => (entry.kind === 'activated' || entry.kind === 'rolled-back') && entry.detail.layer === layer,
  )
  if (change === undefined) return undefined
  const { token, plan, generation } = change.detail
  const group = entries.findLast(entry => entry.kind === 'plan-accepted' && entry.detail.plan === plan)?.subject
  const belongs = (entry: AuditEntry): boolean => {
    switch (entry.kind) {
      case 'permit-taken':
      case 'permit-returned':
      case 'staged':
      case 'activated':
      case 'healthy':
      case 'rolled-back':
        return entry.detail.layer === layer && entry.detail.plan === plan && (entry.detail.token ?? token) === token
      case 'plan-accepted':
        return plan !== undefined && entry.detail.plan === plan
      case 'order-accepted':
      case 'rollout-phase':
        return group !== undefined && entry.subject === group && entry.detail.generation === generation
      default:
        return false
    }
  }
  const steps = entries.filter(belongs).toReversed()
  return { layer, steps: steps.length === 0 ? [change] : steps }
}

/** The newest run of marks of each layer, unless it ended since. */
function causeOfMarks(entries: readonly AuditEntry[]): AuditEntry[][] {
  const open = new Map<string, AuditEntry[]>()
  for (const entry of entries) {
    if (!MARKS.includes(entry.kind)) continue
    const key = entry.detail.layer ?? ''
    if (entry.detail.state === 'over') open.delete(key)
    else open.set(key, [entry, ...(open.get(key) ?? [])].slice(0, 16))
  }
  return [...open.values()]
}
