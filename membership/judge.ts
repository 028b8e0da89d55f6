import { type Millis, millis, type NodeId } from '../protocol/index.ts'
import type { Awareness } from './awareness.ts'
import { strength } from './evidence.ts'
import type { Member } from './members.ts'
import type { Overlay } from './overlay.ts'
import type { Profile } from './profiles.ts'
import { strangerTimeout, suspicionTimeout } from './suspicion.ts'
import { counts } from './table.ts'

/** How often doubts by observers that were not assigned are looked at again: the view of the rings may have caught up. Milliseconds. */
const LOOK_AGAIN = 1_000
/**
 * So many observers have to find a host unreachable, where it has as many that nobody doubts. Three of the five that a member has: on a
 * lossy network two may well be wrong at once. Chosen by judgement; the simulator has looked at this number alone.
 */
const WITNESSES = 3
/** Deadlines this close are settled in one go. Milliseconds. */
const GRAIN = 20
/** Not more often than this are all deadlines worked out anew, which depend on who else is in doubt and how well this node is: a tenth of a fleet may end at once. Milliseconds. */
const AFRESH = 100

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

/** `doubted`: whether a node is in question itself, so that little can be made of what it does not say. */
export function createJudge(
  profile: Profile,
  overlay: Overlay,
  awareness: Awareness,
  isDoubted: (node: NodeId) => boolean,
): Judge {
  /** By slot, with when each is to be looked at again. */
  const doubted = new Map<number, { readonly member: Member; lookAt: number }>()
  let settleAt = Number.POSITIVE_INFINITY
  let afreshAt = 0

  /** How many of a member's observers have to say that its host is unreachable: as many as can speak, WITNESSES at most. */
  const witnesses = (member: Member): number => {
    let able = 0
    for (const observer of overlay.observersOf(member.id)) {
      if (!isDoubted(observer)) able += 1
      if (able === WITNESSES) break
    }
    return Math.max(1, able)
  }
  const deadline = (member: Member): number => {
    // A node that is unwell itself gives others the more time (Lifeguard §IV-A).
    const stretch = 1 + awareness.score / 4
    let silence = Number.POSITIVE_INFINITY
    let refused = Number.POSITIVE_INFINITY
    let stranger = Number.POSITIVE_INFINITY
    let observers = 0
    const unreachable: number[] = []
    for (const doubt of member.doubts.values()) {
      stranger = Math.min(stranger, doubt.at)
      if (!doubt.assigned) continue
      observers += 1
      silence = Math.min(silence, doubt.at)
      if (doubt.evidence === 'refused') refused = Math.min(refused, doubt.evidentAt)
      if (doubt.evidence !== 'silence') unreachable.push(doubt.evidentAt)
    }
    const timeout = suspicionTimeout(profile, overlay.size, observers - 1)
    const alone = Math.min(
      silence + timeout * stretch,
      refused + Math.min(profile.refusedGrace, timeout) * stretch,
      stranger + strangerTimeout(profile, overlay.size) * stretch,
    )
    if (unreachable.length === 0) return alone
    unreachable.sort((a, b) => a - b)
    const agreed = unreachable[witnesses(member) - 1] ?? Number.POSITIVE_INFINITY
    return Math.min(alone, Math.max(agreed, unreachable[0]! + Math.min(profile.unreachableGrace, timeout) * stretch))
  }
  const schedule = (now: Millis, each: { readonly member: Member; lookAt: number }): void => {
    const { member } = each
    member.failsAt = deadline(member)
    each.lookAt = member.failsAt
    for (const { assigned } of member.doubts.values())
      if (!assigned) each.lookAt = Math.min(member.failsAt, now + LOOK_AGAIN)
    settleAt = Math.min(settleAt, each.lookAt)
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
      if (suspicions.size === 0 && member.doubts.size === 0) return void doubted.delete(member.slot)
      for (const observer of member.doubts.keys()) {
        const suspicion = suspicions.get(observer)
        if (suspicion === undefined || !counts(record, suspicion)) member.trust(observer)
      }
      for (const [observer, suspicion] of suspicions) {
        if (!counts(record, suspicion)) continue
        const { evidence } = suspicion.body
        const known = member.doubts.get(observer)
        if (known !== undefined && strength(known.evidence) >= strength(evidence)) continue
        const evidentAt = introduced ? millis(Math.min(now, suspicion.clock)) : now
        const assigned = overlay.mayObserve(observer, member.id)
        member.doubt(observer, { at: known?.at ?? evidentAt, evidentAt, evidence, assigned })
      }
      if (member.doubts.size === 0) {
        doubted.delete(member.slot)
        return
      }
      const each = doubted.get(member.slot) ?? { member, lookAt: 0 }
      doubted.set(member.slot, each)
      schedule(now, each)
    },
    dismiss(member) {
      doubted.delete(member.slot)
      member.trust()
    },
    settle(now) {
      if (now < settleAt) return []
      const failed: Member[] = []
      const afresh = now >= afreshAt
      if (afresh) afreshAt = now + AFRESH
      settleAt = Number.POSITIVE_INFINITY
      for (const each of doubted.values()) {
        const { member } = each
        if (!afresh && each.lookAt > now + GRAIN) {
          settleAt = Math.min(settleAt, each.lookAt)
          continue
        }
        assign(member)
        schedule(now, each)
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
      for (const each of doubted.values()) {
        for (const doubt of each.member.doubts.values()) {
          doubt.at = millis(Math.min(now, doubt.at + by))
          doubt.evidentAt = millis(Math.min(now, doubt.evidentAt + by))
        }
        schedule(now, each)
      }
    },
    nextAt: () => settleAt,
  }
}
