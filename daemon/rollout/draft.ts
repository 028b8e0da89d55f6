import type { Digest, NodeId } from '../../protocol/index.ts'
import type { LedgerValue } from '../../rollout/index.ts'
import type { MemberLookup } from './rollouts.ts'

export interface Draft {
  readonly group: string
  readonly layer: string
  readonly generation: number
  readonly previous: Digest | null
  readonly phase: LedgerValue['phase']
  readonly denied: readonly Digest[]
  /** What the layer has run in this group, oldest first. */
  readonly past: readonly { image: Digest; version: string }[]
  readonly roster: readonly {
    node: NodeId
    name: string
    zone: string
    digest: Digest | null
    version: string | null
    taint: readonly string[]
    /** What its layers run. */
    layers: Readonly<Record<string, Digest | null>>
  }[]
  /** Members of the group that the plan leaves out, and why. */
  readonly excluded: readonly { node: NodeId; name: string; reason: string }[]
  /** Members of the group that are down, and so count against the budget of whatever plan. */
  readonly down: readonly { node: NodeId; name: string }[]
}

/** What a plan for this layer would be, if it were signed now. `select`: tags that a member must have, as regular expressions. */
export function draftOf(
  value: LedgerValue,
  layer: string,
  select: Readonly<Record<string, string>>,
  members: ReturnType<MemberLookup['all']>,
): Draft {
  const { group } = value
  const patterns = Object.entries(select).map(([key, pattern]) => [key, new RegExp(`^(?:${pattern})$`)] as const)
  const roster: Draft['roster'][number][] = []
  const excluded: Draft['excluded'][number][] = []
  for (const member of members) {
    if (member.group !== group || member.status === 'left') continue
    if (!patterns.every(([key, pattern]) => pattern.test(member.tags[key] ?? ''))) continue
    const running = member.layers.find(status => status.layer === layer)
    const reason =
      running === undefined
        ? `it has no layer ${layer}`
        : value.fenced.includes(member.id)
          ? 'it was written off; it has to join again as a new node'
          : member.status === 'alive' || member.status === 'suspect'
            ? undefined
            : `it is ${member.status}`
    if (reason !== undefined) excluded.push({ node: member.id, name: member.name, reason })
    else
      roster.push({
        node: member.id,
        name: member.name,
        zone: member.zone,
        digest: running!.digest,
        version: running!.version,
        taint: member.taint,
        layers: Object.fromEntries(member.layers.map(status => [status.layer, status.digest])),
      })
  }
  return {
    group,
    layer,
    generation: value.generation + 1,
    previous: value.targets[layer] ?? null,
    phase: value.phase,
    denied: value.denied,
    past: pastOf(value, layer),
    roster,
    excluded,
    down: members
      .filter(({ id, group: of, status }) => of === group && status === 'failed' && !value.fenced.includes(id))
      .map(({ id, name }) => ({ node: id, name })),
  }
}

/** The images that generations brought and that were not undone, each where it came last. */
function pastOf({ history, phase }: LedgerValue, layer: string): Draft['past'] {
  const kept = history.filter(past => past.layer === layer && (past.end?.phase ?? phase) === 'done')
  return kept
    .filter(({ image }, at) => kept.findLastIndex(other => other.image === image) === at)
    .map(({ image, version }) => ({ image, version }))
}
