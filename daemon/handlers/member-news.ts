import {
  COALESCE,
  type CoalescePeriods,
  createCoalescer,
  lastOfMember,
  type MemberView,
} from '../../membership/index.ts'
import type { Millis } from '../../protocol/index.ts'
import type { Happening, MembersEvent } from '../happenings.ts'

type MembersHappening = Extract<Happening, { type: 'members' }>

/** Gathers what happens to members, and tells it for many at once: one run of a script for a rack that went dark, not forty. */
export interface MemberNews {
  add(happening: MembersHappening): void
  /** Forgets what is gathered. */
  stop(): void
}

export function createMemberNews(
  now: () => Millis,
  tell: (happening: MembersHappening) => void,
  periods: CoalescePeriods = COALESCE,
): MemberNews {
  const coalescer = createCoalescer<{ event: MembersEvent; member: MemberView }>(({ member }) => member.id, {
    ...periods,
    merge: lastOfMember,
  })
  let timer: NodeJS.Timeout | undefined

  const tellAll = (news: readonly { event: MembersEvent; member: MemberView }[]): void => {
    const byEvent = new Map<MembersEvent, MemberView[]>()
    for (const { event, member } of news) {
      const members = byEvent.get(event)
      if (members === undefined) byEvent.set(event, [member])
      else members.push(member)
    }
    for (const [event, members] of byEvent) tell({ type: 'members', event, members })
  }
  const wake = (): void => {
    timer = undefined
    tellAll(coalescer.due(now()))
    arm()
  }
  const arm = (): void => {
    const at = coalescer.nextAt()
    if (timer === undefined && at !== Number.POSITIVE_INFINITY) timer = setTimeout(wake, Math.max(1, at - now()))
  }

  return {
    add({ event, members }) {
      for (const member of members) tellAll(coalescer.add(now(), { event, member }))
      arm()
    },
    stop: () => clearTimeout(timer),
  }
}
