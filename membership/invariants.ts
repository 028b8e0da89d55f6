import type { NodeId } from '../protocol/index.ts'
import { dismissalOf } from './dismissals.ts'
import type { Overlay } from './overlay.ts'
import type { Roster } from './roster.ts'
import { isSuspected, type Table } from './table.ts'

interface Parts {
  readonly self: NodeId
  readonly leaving: boolean
  readonly table: Table
  readonly roster: Roster
  readonly overlay: Overlay
  readonly revoked: ReadonlySet<NodeId>
}

/** What must hold at any time between the parts of one membership machine, as sentences about what does not. */
export function brokenInvariants({ self, leaving, table, roster, overlay, revoked }: Parts): string[] {
  const broken: string[] = []
  if (roster.members.size !== table.entries.size) broken.push('the table and the roster do not name the same nodes')
  for (const { id, entry, status } of roster.members.values()) {
    const { class: kind, presence } = entry.record.body
    const steady = kind !== 'intermittent' && (status === 'alive' || status === 'suspect')
    if (revoked.has(id)) broken.push(`${id} was revoked and is a member`)
    if (overlay.has(id) !== steady) broken.push(`${id} is ${status} and ${overlay.has(id) ? 'on' : 'not on'} the rings`)
    if ((status === 'suspect' || status === 'failed') && !isSuspected(entry))
      broken.push(`${id} is ${status} with nobody suspecting it`)
    if (kind === 'intermittent' && (status === 'failed' || status === 'suspect'))
      broken.push(`${id} is intermittent and ${status}`)
    const dismissed = dismissalOf(entry.record, entry.dismissals) !== undefined
    if (presence === 'left' ? status !== 'left' : status === 'left' && !dismissed)
      broken.push(`${id} is ${status} and says ${presence}`)
  }
  const status = roster.members.get(self)?.status
  if (status !== (leaving ? 'left' : 'alive')) broken.push('this node does not see itself as it is')
  return broken
}
