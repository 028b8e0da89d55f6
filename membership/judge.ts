import { type Millis, millis } from '../protocol/index.ts'
import type { Awareness } from './awareness.ts'
import type { Member } from './members.ts'
import type { Overlay } from './overlay.ts'
import type { Profile } from './profiles.ts'
import { strangerTimeout, suspicionTimeout } from './suspicion.ts'
import { counts } from './table.ts'

/** How often doubts by observers that were not assigned are looked at again: the view of the rings may have caught up. Milliseconds. */
const LOOK_AGAIN = 1_000
/** Deadlines this close are settled in one go. Milliseconds. */
const GRAIN = 20

/** Decides when a suspect counts as failed, from the suspicions that this node holds: each member does so by itself, and nobody says it of another. */
export interface Judge {
  /** Brings a member's doubts in line with the suspicions held against it. `introduced`: they came along with the first word of it, and are as old as their authors say. */
  weigh(now: Millis, member: Member, introduced: boolean): void
  /** No longer in question: failed, left or gone. Its doubts are forgotten; the suspicions stay in the table. */
  dismiss(member: Member): void
  /** Those that count as failed now. */
  settle(now: Millis): Member[]
  /** True when an assigned observer suspects it. */
  suspected(member: Member): boolean
  /** This process stood still for so long, and may have missed every refutation: all deadlines move. */
  postpone(now: Millis, by: number): void
  nextAt(): number
}

export function createJudge(profile: Profile, overlay: Overlay, awareness: Awareness): Judge {
  /** By slot. */
  const doubted = new Map<number, Member>()
  let settleAt = Number.POSITIVE_INFINITY

  const deadline = (member: Member): number => {
    // A node that is unwell itself gives others the more time (Lifeguard §IV-A).
    const stretch = 1 + awareness.score / 4
    let silence = Number.POSITIVE_INFINITY
    let refused = Number.POSITIVE_INFINITY
    let stranger = Number.POSITIVE_INFINITY
    let observers = 0
    for (const doubt of member.doubts.values()) {
      stranger = Math.min(stranger, doubt.at)
      if (!doubt.assigned) continue
      observers += 1
      silence = Math.min(silence, doubt.at)
      if (doubt.refused) refused = Math.min(refused, doubt.at)
    }
    const timeout = suspicionTimeout(profile, overlay.size, observers - 1)
    return Math.min(
      silence + timeout * stretch,
      refused + Math.min(profile.refusedGrace, timeout) * stretch,
      stranger + strangerTimeout(profile, overlay.size) * stretch,
    )
  }
  const schedule = (now: Millis, member: Member): void => {
    member.failsAt = deadline(member)
    const again = [...member.doubts.values()].some(doubt => !doubt.assigned) ? now + LOOK_AGAIN : member.failsAt
    settleAt = Math.min(settleAt, member.failsAt, again)
  }
  const assign = (member: Member): boolean => {
    let changed = false
    for (const [observer, doubt] of member.doubts) {
      if (doubt.assigned || !overlay.mayObserve(observer, member.id)) continue
      doubt.assigned = true
      changed = true
    }
    return changed
  }

  return {
    weigh(now, member, introduced) {
      const { record, suspicions } = member.entry
      for (const observer of member.doubts.keys()) {
        const suspicion = suspicions.get(observer)
        if (suspicion === undefined || !counts(record, suspicion)) member.trust(observer)
      }
      for (const [observer, suspicion] of suspicions) {
        if (!counts(record, suspicion)) continue
        const refused = suspicion.body.evidence === 'refused'
        const known = member.doubts.get(observer)
        if (known !== undefined && known.refused === refused) continue
        const at = introduced ? millis(Math.min(now, suspicion.clock)) : now
        member.doubt(observer, { at, refused, assigned: overlay.mayObserve(observer, member.id) })
      }
      if (member.doubts.size === 0) {
        doubted.delete(member.slot)
        return
      }
      doubted.set(member.slot, member)
      schedule(now, member)
    },
    dismiss(member) {
      doubted.delete(member.slot)
      member.trust()
    },
    settle(now) {
      if (now < settleAt) return []
      const failed: Member[] = []
      settleAt = Number.POSITIVE_INFINITY
      for (const member of doubted.values()) {
        assign(member)
        schedule(now, member)
        if (member.failsAt > now + GRAIN) continue
        doubted.delete(member.slot)
        failed.push(member)
      }
      settleAt = Math.max(settleAt, now + GRAIN)
      return failed
    },
    suspected: member => [...member.doubts.values()].some(doubt => doubt.assigned),
    postpone(now, by) {
      settleAt = Number.POSITIVE_INFINITY
      for (const member of doubted.values()) {
        for (const doubt of member.doubts.values()) doubt.at = millis(Math.min(now, doubt.at + by))
        schedule(now, member)
      }
    },
    nextAt: () => settleAt,
  }
}
