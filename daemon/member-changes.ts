import { setTimeout as sleep } from 'node:timers/promises'
import type { MembersChange, MemberView, NodeId } from '../protocol/index.ts'

/** How often it is looked whether anything changed, while somebody watches. Milliseconds. */
const LOOK_EVERY = 1_000
/** A caller takes so many at once: about 200 KB. */
const AT_ONCE = 400

/** Everybody first, then every change until the signal aborts. What changes while the caller is busy is one change. */
export async function* watchMembers(
  list: () => Promise<readonly MemberView[]>,
  signal: AbortSignal,
): AsyncGenerator<MembersChange> {
  const changes = createMemberChanges()
  for (let first = true; !signal.aborted; first = false) {
    yield* inParts(changes(await list()), first)
    await sleep(LOOK_EVERY, undefined, { signal }).catch(() => undefined)
  }
}

interface Change {
  readonly members: readonly MemberView[]
  readonly gone: readonly NodeId[]
}

/** Tells what is new in each list against the one before. Round trips alone are no change: they move with every probe. */
export function createMemberChanges(): (members: readonly MemberView[]) => Change {
  let before = new Map<NodeId, string>()
  return members => {
    const now = new Map(members.map(member => [member.id, textOf(member)]))
    const change = {
      members: members.filter(({ id }) => before.get(id) !== now.get(id)),
      gone: [...before.keys()].filter(id => !now.has(id)),
    }
    before = now
    return change
  }
}

const textOf = ({ rttMs, estimatedRttMs, ...rest }: MemberView): string => JSON.stringify(rest)

/** In updates of bounded size; none for no change, but for the first: whoever watches an empty fleet is told so. */
export function* inParts({ members, gone }: Change, first: boolean): Generator<MembersChange> {
  const parts = Math.max(Math.ceil(members.length / AT_ONCE), first || gone.length > 0 ? 1 : 0)
  for (let part = 0; part < parts; part++)
    yield {
      members: members.slice(part * AT_ONCE, (part + 1) * AT_ONCE),
      gone: part === 0 ? gone : [],
      more: part < parts - 1,
    }
}
