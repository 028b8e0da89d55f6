import type { MemberEvent, MemberView } from '../membership/index.ts'
import type { NodeId } from '../protocol/index.ts'
import type { MembersEvent } from './happenings.ts'

/**
 * Membership's events in Serf's words, each said once. A suspicion is not told: it is a question, and most are refuted. That an intermittent
 * member is away is not told either: it is expected to be; once it is overdue it counts as `failed`, as one that is missing. Whoever comes
 * back from either is told as `join` if its absence was told. An update is told when its labels or addresses are others. Gives undefined for what is not told.
 */
export function createMemberWords(): (event: MemberEvent, member: MemberView) => MembersEvent | undefined {
  /** Those whose presence was told last, and not their absence, with what was told of them. */
  const present = new Map<NodeId, string>()
  return (event, member) => {
    const { id } = member
    switch (event) {
      case 'join':
      case 'suspect':
      case 'away':
        // Somebody may be heard of first when it is doubted or away: a member it is.
        if (present.has(id)) return undefined
        present.set(id, labelsOf(member))
        return 'join'
      case 'update':
        // Health, images and coordinates change all the time, and say nothing in these words.
        if (!present.has(id) || present.get(id) === labelsOf(member)) return undefined
        present.set(id, labelsOf(member))
        return 'update'
      case 'failed':
      case 'overdue':
        present.delete(id)
        return 'failed'
      case 'leave':
        present.delete(id)
        return 'leave'
      case 'reap':
        present.delete(id)
        return 'reap'
      default:
        return event satisfies never
    }
  }
}

/** What a member says of itself that a `member-update` is about. */
const labelsOf = ({ name, addresses, class: nodeClass, zone, group, tags, version }: MemberView): string =>
  JSON.stringify([name, addresses, nodeClass, zone, group, tags, version])
