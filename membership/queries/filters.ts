import type { NodeId, Query } from '../../protocol/index.ts'

export type Filters = Pick<Query, 'nodes' | 'tags' | 'groups' | 'zones'>

/** What filters look at. */
export interface Labels {
  readonly id: NodeId
  readonly group: string
  readonly zone: string
  readonly tags: Readonly<Record<string, string>>
}

/**
 * True when every filter lets this node through; an empty filter lets everybody. A tag that a node does not have is matched as an
 * empty value. `matches`: whether a pattern matches a whole value, on an engine that a hostile pattern cannot stall.
 */
export function passes(filters: Filters, node: Labels, matches: (pattern: string, value: string) => boolean): boolean {
  const among = (list: readonly string[], value: string): boolean => list.length === 0 || list.includes(value)
  return (
    among(filters.nodes, node.id) &&
    among(filters.groups, node.group) &&
    among(filters.zones, node.zone) &&
    Object.entries(filters.tags).every(([tag, pattern]) =>
      matches(pattern, Object.hasOwn(node.tags, tag) ? node.tags[tag]! : ''),
    )
  )
}
