import type { MemberView } from '../../../protocol/index.ts'
import { CONDITIONS, type Condition, compare, conditionOf, type Fleet } from './fleet.ts'

export type Counts = Readonly<Record<Condition, number>>

export interface Cell {
  readonly zone: string
  readonly group: string
  /** The worst first, then by name. */
  readonly members: readonly MemberView[]
  readonly counts: Counts
}

export interface FleetMap {
  readonly zones: readonly string[]
  readonly groups: readonly string[]
  /** Undefined where nobody is. */
  cell(zone: string, group: string): Cell | undefined
  /** Of the largest cell. */
  readonly most: number
}

export function countsOf(members: Iterable<MemberView>): Counts {
  const counts = Object.fromEntries(CONDITIONS.map(condition => [condition, 0])) as Record<Condition, number>
  for (const member of members) counts[conditionOf(member)] += 1
  return counts
}

/** Members by zone and group; the zones with the most trouble first. */
export function mapOf(fleet: Fleet): FleetMap {
  const found = new Map<string, Map<string, MemberView[]>>()
  const groups = new Set<string>()
  for (const member of fleet.members.values()) {
    groups.add(member.group)
    const zone = found.get(member.zone) ?? new Map<string, MemberView[]>()
    found.set(member.zone, zone)
    const cell = zone.get(member.group)
    if (cell === undefined) zone.set(member.group, [member])
    else cell.push(member)
  }
  const cells = new Map<string, Map<string, Cell>>()
  const trouble = new Map<string, number>()
  let most = 0
  for (const [zone, byGroup] of found) {
    const row = new Map<string, Cell>()
    for (const [group, members] of byGroup) {
      members.sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name))
      const counts = countsOf(members)
      most = Math.max(most, members.length)
      trouble.set(zone, (trouble.get(zone) ?? 0) + counts.failed + counts.failing + counts.suspect)
      row.set(group, { zone, group, members, counts })
    }
    cells.set(zone, row)
  }
  return {
    zones: [...found.keys()].sort((a, b) => trouble.get(b)! - trouble.get(a)! || compare(a, b)),
    groups: [...groups].sort(compare),
    cell: (zone, group) => cells.get(zone)?.get(group),
    most,
  }
}

const rank = (member: MemberView): number => CONDITIONS.indexOf(conditionOf(member))

export interface Divergence {
  readonly layer: string
  /** How many members have the layer. */
  readonly members: number
  /** What they run, the most frequent first. `digest` is null for those that run nothing yet. */
  readonly images: readonly { readonly digest: string | null; readonly version: string; readonly count: number }[]
}

/** Which images each layer runs across the members that are here. One image everywhere is no divergence. */
export function divergenceOf(fleet: Fleet): Divergence[] {
  const layers = new Map<string, Map<string, { digest: string | null; version: string; count: number }>>()
  for (const member of fleet.members.values()) {
    if (member.status === 'left') continue
    for (const { layer, digest, version } of member.layers) {
      const images = layers.get(layer) ?? new Map()
      layers.set(layer, images)
      const image = images.get(digest ?? '') ?? { digest, version: version ?? 'nothing yet', count: 0 }
      image.count += 1
      images.set(digest ?? '', image)
    }
  }
  return [...layers]
    .map(([layer, found]) => {
      const images = [...found.values()].sort((a, b) => b.count - a.count || compare(a.version, b.version))
      return { layer, members: images.reduce((sum, { count }) => sum + count, 0), images }
    })
    .sort((a, b) => compare(a.layer, b.layer))
}

/** How far the members of a group are with fetching. Undefined when none is at it. */
export function fetchingOf(members: readonly MemberView[]): { count: number; mean: number } | undefined {
  const progress = members.flatMap(({ layers }) =>
    layers.filter(({ state }) => state === 'fetching').map(layer => layer.progress),
  )
  if (progress.length === 0) return undefined
  return { count: progress.length, mean: progress.reduce((sum, part) => sum + part, 0) / progress.length }
}
