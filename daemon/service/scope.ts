import { type AuditKind, FleetError, type NodeId, toFleetError } from '../../protocol/index.ts'
import type { Events } from '../events/index.ts'
import type { Fleetd } from '../fleetd.ts'
import type { Members } from '../members/index.ts'

type Found = Pick<ReturnType<Members['members']>[number], 'id' | 'name' | 'group' | 'status'>

/** What answers of every subject need: the parts that a daemon without a fleet lacks, and members by what people call them. */
export interface Scope {
  readonly fleetd: Fleetd
  /** Throw `refused` while the daemon belongs to no fleet. */
  members(): Members
  events(): Events
  /** By name, id, or the beginning of one. Throws `not-found`, and `conflict` where several match. */
  find(reference: string): Found
  nameOf(node: NodeId): string
  /** What an operator signed and this node does not take is in its audit log, with the reason that the operator gets. */
  noted(kind: AuditKind, what: string, work: () => Promise<void>): Promise<void>
}

export function scopeOf(fleetd: Fleetd): Scope {
  const { trust, audit } = fleetd
  const members = (): Members => {
    trust.demand()
    return fleetd.members()!
  }
  const events = (): Events => {
    trust.demand()
    return fleetd.events()!
  }
  const noted = async (kind: AuditKind, what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      audit.note({ kind, text: `${what} was refused: ${toFleetError(error).message}`, outsider: true })
      throw error
    }
  }
  const nameOf = (node: NodeId): string => fleetd.members()?.find(node)?.name ?? node
  const find = (reference: string): Found => {
    const all = members().members()
    const exact = all.filter(member => member.name === reference || member.id === reference)
    const found =
      exact.length > 0
        ? exact
        : all.filter(member => member.id.startsWith(reference) || member.name.startsWith(reference))
    if (found.length === 0)
      throw new FleetError('not-found', `no member ${JSON.stringify(reference)}; see "fleetctl members"`)
    if (found.length > 1)
      throw new FleetError(
        'conflict',
        `${JSON.stringify(reference)} may be any of ${found.map(member => `${member.name} (${member.id})`).join(', ')}; give the whole id`,
      )
    return found[0]!
  }
  return { fleetd, members, events, find, nameOf, noted }
}

export const isAlive = (status: string): boolean => status === 'alive' || status === 'suspect'
