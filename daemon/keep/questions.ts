import type { Divergence, Hotfixes, Kept, KeptView, NodeId } from '../../protocol/index.ts'
import { divergenceOf, type LedgerValue, type Runner } from '../../rollout/index.ts'
import type { KeepOrders } from './orders.ts'

/** What the local API is asked about what nodes run; nodes are named as people name them. */
export interface KeepQuestions {
  mark(statement: Uint8Array, signal: AbortSignal): Promise<KeptView>
  kept(node: string | undefined, signal: AbortSignal): Promise<KeptView>
  compare(node: string | undefined, signal: AbortSignal): Promise<KeptView>
  hotfixes(signal: AbortSignal): Promise<Hotfixes>
  divergence(signal: AbortSignal): Promise<Divergence>
}

export function createKeepQuestions(init: {
  readonly orders: KeepOrders
  readonly self: NodeId
  readonly find: (reference: string) => { id: NodeId; name: string }
  readonly nameOf: (node: NodeId) => string
  /** Members that say of themselves to have a hotfix. */
  readonly hotfixed: () => readonly NodeId[]
  readonly members: () => readonly (Runner & { readonly group: string })[]
  /** The ledger of a group by quorum, else as it was last heard of. */
  readonly ledger: (group: string, signal: AbortSignal) => Promise<LedgerValue | undefined>
}): KeepQuestions {
  const { orders, self, nameOf } = init
  const nodeOf = (reference: string | undefined): NodeId => (reference === undefined ? self : init.find(reference).id)
  const view = (node: NodeId, kept: Kept): KeptView => ({ node, name: nameOf(node), ...kept })

  return {
    async mark(statement, signal) {
      const { node, kept } = await orders.give(statement, signal)
      return view(node, kept)
    },
    async kept(reference, signal) {
      const node = nodeOf(reference)
      return view(node, await orders.report(node, signal))
    },
    async compare(reference, signal) {
      const node = nodeOf(reference)
      return view(node, await orders.scan(node, signal))
    },
    async divergence(signal) {
      const members = init.members()
      const groups = [...new Set(members.map(({ group }) => group))].sort()
      const values = await Promise.all(groups.map(group => init.ledger(group, signal)))
      return {
        layers: values.flatMap(value =>
          value === undefined
            ? []
            : divergenceOf(
                value,
                members.filter(({ group }) => group === value.group),
              ),
        ),
        unknown: groups.filter((_, at) => values[at] === undefined),
      }
    },
    async hotfixes(signal) {
      const nodes = init.hotfixed()
      const answers = await Promise.allSettled(nodes.map(node => orders.report(node, signal)))
      const named = (node: NodeId) => ({ node, name: nameOf(node) })
      return {
        hotfixes: answers.flatMap((answer, at) =>
          answer.status === 'rejected'
            ? []
            : answer.value.layers.flatMap(({ layer, marks }) =>
                marks.filter(({ why }) => why === 'hotfix').map(mark => ({ ...named(nodes[at]!), layer, mark })),
              ),
        ),
        silent: nodes.filter((_, at) => answers[at]!.status === 'rejected').map(named),
      }
    },
  }
}
