import type { MemberView } from '../../membership/index.ts'
import {
  type DocumentKind,
  encodeDocument,
  FleetError,
  LIMITS,
  type NodeId,
  type Random,
} from '../../protocol/index.ts'
import type { Down } from '../../rollout/index.ts'
import type { Members } from '../members/index.ts'

/** The members of the fleet, as far as this node knows them: nobody before it has entered one. */
export interface Roster {
  /** Undefined while the daemon belongs to no fleet. */
  members(): Members | undefined
  /** This daemon belongs to a fleet from now on. */
  entered(members: Members): void
  all(): readonly MemberView[]
  find(node: NodeId): MemberView | undefined
  knows(node: NodeId): boolean
  /** Neighbours that are alive, in random order. */
  alivePeers(): NodeId[]
  /** Members of this group that were not expected to be away and are: they count against its budget, whether a plan names them or not. */
  down(group: string): readonly Down[]
  /** Passes a document on to all members, and to this node's disk. Throws `unclaimed`. */
  spread(kind: DocumentKind, statement: Uint8Array): Promise<void>
}

export function createRoster(random: Random): Roster {
  let members: Members | undefined
  const roster: Roster = {
    members: () => members,
    entered(entered) {
      members = entered
    },
    all: () => members?.members() ?? [],
    find: node => members?.find(node),
    knows: node => members?.knows(node) ?? false,
    alivePeers: () => random.shuffle((members?.links() ?? []).filter(node => roster.find(node)?.status === 'alive')),
    down: group =>
      roster
        .all()
        .filter(member => member.group === group && member.status === 'failed')
        .slice(0, LIMITS.roster)
        .map(({ id, zone }) => ({ node: id, zone })),
    async spread(kind, statement) {
      if (members === undefined) throw new FleetError('unclaimed', 'this daemon belongs to no fleet yet')
      await members.addDocument(encodeDocument(kind, statement))
    },
  }
  return roster
}
