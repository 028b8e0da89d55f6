import type { Digest, LayerStatus, Millis, NodeId } from '../../protocol/index.ts'
import type { LedgerValue } from '../ledger/value.ts'

/** A member, as far as it matters what it runs. */
export interface Runner {
  readonly id: NodeId
  readonly name: string
  readonly status: string
  readonly layers: readonly Pick<LayerStatus, 'layer' | 'digest' | 'version'>[]
}

/** A member that does not run what its group's ledger says. */
export interface Straggler {
  readonly node: NodeId
  readonly name: string
  readonly digest: Digest | null
  readonly version: string | null
  /** Since when it should run something else; null where the ledger does not remember. */
  readonly since: Millis | null
  readonly reason: string
}

/** What the members of a group run in one layer, beside what they should. */
export interface LayerDivergence {
  readonly group: string
  readonly layer: string
  /** By the last generation that was done; null where none was. */
  readonly wanted: { readonly digest: Digest; readonly version: string | null } | null
  /** What is run, by how many, the most first. */
  readonly running: readonly {
    readonly digest: Digest | null
    readonly version: string | null
    readonly nodes: number
  }[]
  readonly stragglers: readonly Straggler[]
}

/**
 * Compares what members say that they run with what the ledger of their group wants. A rollout that is under way is no divergence: a node may run
 * its image or the one before. Members that left count no more; those that are down are judged by what they said last. Pure.
 */
export function divergenceOf(value: LedgerValue, members: readonly Runner[]): LayerDivergence[] {
  const present = members.filter(({ status }) => status !== 'left')
  const names = new Set([
    ...Object.keys(value.targets),
    ...present.flatMap(member => member.layers.map(({ layer }) => layer)),
  ])
  return [...names].sort().map(layer => {
    const wanted = value.targets[layer] ?? null
    const brought = value.history.findLast(
      past => past.layer === layer && past.image === wanted && (past.end === null || past.end.phase === 'done'),
    )
    const coming = imageUnderWay(value, layer)
    const counts = new Map<Digest | null, { version: string | null; nodes: number }>()
    const stragglers: Straggler[] = []
    for (const member of present) {
      const status = member.layers.find(each => each.layer === layer)
      if (status === undefined) continue
      const { digest, version } = status
      const count = counts.get(digest)
      counts.set(digest, { version: version ?? count?.version ?? null, nodes: (count?.nodes ?? 0) + 1 })
      if (wanted === null || digest === wanted || (digest !== null && digest === coming)) continue
      stragglers.push({
        ...{ node: member.id, name: member.name, digest, version },
        since: brought === undefined ? null : (brought.end?.at ?? value.progressAt),
        reason: reasonOf(value, member, digest),
      })
    }
    return {
      ...{ group: value.group, layer },
      wanted: wanted === null ? null : { digest: wanted, version: brought?.version ?? null },
      running: [...counts]
        .map(([digest, { version, nodes }]) => ({ digest, version, nodes }))
        .sort((a, b) => b.nodes - a.nodes || ((a.digest ?? '') < (b.digest ?? '') ? -1 : 1)),
      stragglers,
    }
  })
}

/** The image that a generation which is not over brings to this layer. */
function imageUnderWay(value: LedgerValue, layer: string): Digest | null {
  const newest = value.history.at(-1)
  const over = value.phase === 'done' || value.phase === 'rolled-back' || value.phase === 'idle'
  return newest !== undefined && newest.layer === layer && !over ? newest.image : null
}

function reasonOf(value: LedgerValue, { id, status }: Runner, digest: Digest | null): string {
  const permit = value.permits.find(({ node }) => node === id)
  if (value.fenced.includes(id)) return 'it was written off, and has to join again as a new node'
  if (status !== 'alive' && status !== 'suspect') return `it is ${status}`
  if (permit !== undefined) return `it holds permit ${permit.token} and is on its way`
  if (digest === null) return 'its slot is empty'
  if (value.denied.includes(digest)) return 'it runs an image that failed in its group'
  return 'it was left behind: ask "fleetctl rollout explain" for it'
}
