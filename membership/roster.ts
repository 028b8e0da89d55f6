import { type Millis, millis, type NodeId } from '../protocol/index.ts'
import type { AddressBook } from './address-book.ts'
import type { Atlas } from './atlas.ts'
import { dismissalOf } from './dismissals.ts'
import type { Judge } from './judge.ts'
import { createMembers, type Member, type Members, type MemberView, type Status, viewOf } from './members.ts'
import type { Overlay } from './overlay.ts'
import type { Profile } from './profiles.ts'
import { isSuspected, type Table } from './table.ts'
import type { MemberEvent } from './types.ts'

/** Failed and departed members are shown this long (Serf: 24 h). */
const REAP_AFTER = 24 * 3_600_000
/** And are kept this long, unseen, so that what others still say of them is no news. */
const FORGET_AFTER = 7 * REAP_AFTER
const MAX_REAPED = 2_000
/** How long an intermittent member may be away before it is overdue, unless its record says. */
const CONTACT_DEADLINE = 24 * 3_600_000
const SWEEP = 15_000

/** What a merge has changed of a member. */
export interface Change {
  record: boolean
  vitals: boolean
}

/** The members as this node sees them: draws the conclusions from what the table holds, and tells of changes. */
export interface Roster {
  readonly members: Members
  /** Concludes anew after the table changed in what it holds of this node. */
  reflect(now: Millis, node: NodeId, change: Change): void
  heard(now: Millis, node: NodeId): void
  /** Takes a member out for good. */
  expel(now: Millis, node: NodeId): void
  /** Suspicions that are through, intermittent members that fell silent, members gone for long. */
  wake(now: Millis): void
  nextAt(): number
  /** Begins with the members of another that shares the atlas. */
  copy(other: Roster): void
}

export interface RosterInit {
  readonly self: NodeId
  readonly atlas: Atlas
  readonly profile: Profile
  readonly table: Table
  readonly overlay: Overlay
  readonly judge: Judge
  readonly book: AddressBook
  readonly linked: (node: NodeId) => boolean
  readonly start: Millis
  notify(event: MemberEvent, member: MemberView): void
  failed(node: NodeId): void
}

const EVENT_OF: Readonly<Record<Status, MemberEvent>> = {
  alive: 'join',
  suspect: 'suspect',
  failed: 'failed',
  left: 'leave',
  away: 'away',
  overdue: 'overdue',
}

export function createRoster(init: RosterInit): Roster {
  const { self, profile, table, overlay, judge, book } = init
  const members = createMembers(init.atlas, table)
  /** Those that are expected to be absent at times. */
  const intermittent = new Set<NodeId>()
  let sweepAt = init.start + SWEEP

  const notify = (event: MemberEvent, member: Member): void => {
    if (member.id !== self && !member.reaped) init.notify(event, viewOf(member))
  }
  const place = ({ id, status, entry }: Member): void => {
    if (entry.record.body.class === 'intermittent') overlay.put(id, 'none')
    else if (entry.record.body.presence === 'left') overlay.put(id, 'none')
    // Who was dismissed is looked for like anybody who failed: it may be a whole site that was given up too early.
    else overlay.put(id, status === 'failed' || status === 'left' ? 'lost' : 'live')
  }
  const presence = (now: Millis, member: Member): Status => {
    const quiet = now - member.heardAt
    if (quiet > (member.entry.record.body.contactDeadline ?? CONTACT_DEADLINE)) return 'overdue'
    return quiet > 2 * profile.beat ? 'away' : 'alive'
  }
  const dismissal = ({ entry }: Member) => dismissalOf(entry.record, entry.dismissals)
  const conclude = (now: Millis, member: Member): Status => {
    const status = judged(now, member)
    const missing = status === 'failed' || status === 'overdue'
    return missing && dismissal(member) !== undefined ? 'left' : status
  }
  const judged = (now: Millis, member: Member): Status => {
    const { body } = member.entry.record
    if (body.presence === 'left') return 'left'
    if (member.id === self) return 'alive'
    if (body.class === 'intermittent') return presence(now, member)
    if (!isSuspected(member.entry)) return 'alive'
    if (member.missing || member.failsAt <= now) return 'failed'
    return judge.suspected(member) ? 'suspect' : 'alive'
  }
  const become = (now: Millis, member: Member, status: Status, since: Millis = now): void => {
    const goodbye = member.entry.record.body.presence === 'left'
    const known = member.missing
    member.missing = status === 'failed' || status === 'overdue' || (status === 'left' && !goodbye)
    member.status = status
    member.since = since
    member.reaped = false
    if (isGone(member)) judge.dismiss(member)
    if (status === 'left' && goodbye) book.forget(now, member.id)
    if (member.missing && !known && status !== 'overdue') init.failed(member.id)
  }
  /** Who was dismissed with `prune` is listed no more from now on; it is kept as one that was reaped is. */
  const prune = (member: Member): void => {
    if (member.status !== 'left' || member.reaped || dismissal(member)?.body.prune !== true) return
    notify('reap', member)
    member.reaped = true
  }

  const introduce = (now: Millis, node: NodeId): void => {
    const entry = table.entries.get(node)!
    const { record, vitals, suspicions } = entry
    const saidAt = millis(Math.min(now, Math.max(record.clock, vitals?.clock ?? 0)))
    const absent = record.body.class === 'intermittent'
    const member = members.add(node, now)
    if (absent) {
      member.heardAt = saidAt
      intermittent.add(node)
    }
    if (!absent && suspicions.size > 0) judge.weigh(now, member, true)
    const { failsAt } = member
    const status = conclude(now, member)
    const since = status === 'left' ? saidAt : status === 'failed' ? millis(Math.min(now, failsAt)) : now
    become(now, member, status, since)
    member.reaped = isGone(member) && (now - since >= REAP_AFTER || dismissal(member)?.body.prune === true)
    place(member)
    notify(EVENT_OF[status], member)
  }

  const leaveBehind = (member: Member): void => {
    if (member.status === 'failed') book.keep(member.id, member.entry.record.body.addresses)
    judge.dismiss(member)
    intermittent.delete(member.id)
    members.delete(member)
    table.remove(member.id)
  }

  const sweep = (now: Millis): void => {
    sweepAt = now + SWEEP
    const reaped: Member[] = []
    for (const member of members.having('failed', 'left')) {
      const absence = now - member.since
      if (!member.reaped && absence >= REAP_AFTER) {
        notify('reap', member)
        member.reaped = true
      }
      if (member.reaped && absence >= FORGET_AFTER) leaveBehind(member)
      else if (member.reaped) reaped.push(member)
    }
    if (reaped.length > MAX_REAPED) {
      reaped.sort((a, b) => b.since - a.since)
      for (const member of reaped.slice(MAX_REAPED)) leaveBehind(member)
    }
    for (const node of intermittent) {
      const member = members.get(node)!
      if (member.id === self || member.entry.record.body.presence === 'left') continue
      if (init.linked(member.id)) member.heardAt = now
      const status = conclude(now, member)
      if (status === member.status) continue
      become(now, member, status)
      notify(EVENT_OF[status], member)
      prune(member)
    }
  }

  return {
    members,
    reflect(now, node, change) {
      const known = members.get(node)
      if (known === undefined) return introduce(now, node)
      const { body } = known.entry.record
      if (change.record || change.vitals) known.heardAt = now
      if (change.vitals && known.entry.vitals?.body.coordinate !== undefined) known.coordinate = undefined
      if (body.class === 'intermittent') {
        intermittent.add(node)
        judge.dismiss(known)
      } else if (node !== self) {
        intermittent.delete(node)
        judge.weigh(now, known, false)
      }
      const before = known.status
      const status = conclude(now, known)
      // A newer word of one that was pruned makes it count again, be it a goodbye.
      const anew = before === 'left' && known.reaped && change.record
      if (before !== status || anew) become(now, known, status)
      else if (isGone(known)) judge.dismiss(known)
      place(known)
      // A suspect that turns out to be alive has neither left nor come.
      if ((before !== status || anew) && !(before === 'suspect' && status === 'alive')) notify(EVENT_OF[status], known)
      else if (change.record || change.vitals) notify('update', known)
      prune(known)
    },
    heard(now, node) {
      const member = members.get(node)
      if (member !== undefined) member.heardAt = now
    },
    expel(now, node) {
      book.forget(now, node)
      const member = members.get(node)
      if (member === undefined) table.remove(node)
      else {
        notify('leave', member)
        leaveBehind(member)
      }
      overlay.put(node, 'none')
    },
    wake(now) {
      for (const member of judge.settle(now)) {
        const status = dismissal(member) === undefined ? 'failed' : 'left'
        become(now, member, status)
        place(member)
        notify(EVENT_OF[status], member)
        prune(member)
      }
      if (now >= sweepAt) sweep(now)
    },
    nextAt: () => Math.min(judge.nextAt(), sweepAt),
    copy: other => members.copy(other.members),
  }
}

const isGone = ({ status }: Member): boolean => status === 'failed' || status === 'left'
