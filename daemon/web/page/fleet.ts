import type { LayerState, MembersChange, MemberView } from '../../../protocol/index.ts'

/** The members as the stream has told them. A new object with every whole change, so that views can compare. */
export interface Fleet {
  readonly members: ReadonlyMap<string, MemberView>
  /** False until the first change is whole: nobody is missing before. */
  readonly whole: boolean
}

export const NOBODY: Fleet = { members: new Map(), whole: false }

/** Puts the changes of one connection together. Its first change lists everybody, so what was known before it is forgotten. */
export function createFleetReader(): (change: MembersChange) => Fleet | undefined {
  const members = new Map<string, MemberView>()
  return ({ members: changed, gone, more }) => {
    for (const id of gone) members.delete(id)
    for (const member of changed) members.set(member.id, member)
    if (more) return undefined
    return { members: new Map(members), whole: true }
  }
}

/** How a member is, in one word: its status, its health and what its layers are doing. The worst first. */
export const CONDITIONS = ['failed', 'failing', 'suspect', 'changing', 'unknown', 'well', 'away', 'left'] as const
export type Condition = (typeof CONDITIONS)[number]

/** All that need somebody's attention, as a filter. */
export const TROUBLE = 'trouble'
export const isTrouble = (condition: Condition): boolean =>
  condition === 'failed' || condition === 'failing' || condition === 'suspect'

export const CONDITION_WORDS: Readonly<Record<Condition, string>> = {
  failed: 'failed',
  failing: 'failing checks',
  suspect: 'suspect',
  changing: 'changing',
  unknown: 'no checks',
  well: 'well',
  away: 'away',
  left: 'left',
}

/** In these a layer is voluntarily down, or about to be. */
const CHANGING: readonly LayerState[] = ['draining', 'starting', 'verifying', 'reverting']

export function conditionOf({ status, health, layers }: MemberView): Condition {
  if (status === 'failed' || status === 'overdue') return 'failed'
  if (status === 'suspect' || status === 'away' || status === 'left') return status
  if (layers.some(({ state }) => CHANGING.includes(state))) return 'changing'
  if (health === 'failing' || layers.some(({ state }) => state === 'failed')) return 'failing'
  return health === 'passing' ? 'well' : 'unknown'
}

export interface Filter {
  /** Part of a name, a version, a tag or a taint, or the beginning of an id. */
  readonly text: string
  /** A condition, `TROUBLE`, or nothing for all. */
  readonly condition: string
  readonly zone: string
  readonly group: string
}

export const EVERYBODY: Filter = { text: '', condition: '', zone: '', group: '' }

export type Order = 'name' | 'condition' | 'zone' | 'group' | 'since'

/** The members that pass the filter, in this order; by name where they are equal otherwise. */
export function select(fleet: Fleet, filter: Filter, order: Order): MemberView[] {
  const text = filter.text.trim().toLowerCase()
  const found = [...fleet.members.values()].filter(
    member =>
      (filter.zone === '' || member.zone === filter.zone) &&
      (filter.group === '' || member.group === filter.group) &&
      (filter.condition === '' || isOf(conditionOf(member), filter.condition)) &&
      (text === '' || matches(member, text)),
  )
  const byName = (a: MemberView, b: MemberView): number => compare(a.name, b.name) || compare(a.id, b.id)
  switch (order) {
    case 'name':
      return found.sort(byName)
    case 'condition':
      return found.sort((a, b) => rank(a) - rank(b) || byName(a, b))
    case 'zone':
      return found.sort((a, b) => compare(a.zone, b.zone) || byName(a, b))
    case 'group':
      return found.sort((a, b) => compare(a.group, b.group) || byName(a, b))
    case 'since':
      return found.sort((a, b) => b.since - a.since || byName(a, b))
    default:
      return order satisfies never
  }
}

const isOf = (condition: Condition, wanted: string): boolean =>
  wanted === TROUBLE ? isTrouble(condition) : condition === wanted

const rank = (member: MemberView): number => CONDITIONS.indexOf(conditionOf(member))

/** Numbers in names by their value: web-9 before web-10. */
export const compare = new Intl.Collator('en', { numeric: true }).compare

function matches({ id, name, tags, taint, layers, addrs }: MemberView, text: string): boolean {
  return (
    name.toLowerCase().includes(text) ||
    id.toLowerCase().startsWith(text) ||
    layers.some(({ version, digest }) => version?.toLowerCase().includes(text) || digest?.startsWith(text)) ||
    Object.entries(tags).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(text)) ||
    addrs.some(address => address.includes(text)) ||
    taint.some(reason => `tainted ${reason}`.toLowerCase().includes(text))
  )
}
