import { type Address, documentId, type Millis, type NodeId } from '../protocol/index.ts'
import type { Awareness } from './awareness.ts'
import { voids } from './dismissals.ts'
import { subjectOf } from './heard.ts'
import type { Overlay } from './overlay.ts'
import type { Profile } from './profiles.ts'
import type { Change, Roster } from './roster.ts'
import { compareRecords, compareVitals, refutes, type Table } from './table.ts'
import type { Heard } from './types.ts'
import type { Voice } from './voice.ts'

/** So many answers in a row to epochs of ours are a twin's: one alone may be chance. */
const ANSWERS = 2

export interface HearingInit {
  readonly self: NodeId
  readonly table: Table
  readonly profile: Profile
  readonly voice: Voice
  readonly roster: Roster
  readonly overlay: Overlay
  readonly awareness: Awareness
  readonly revoked: ReadonlySet<NodeId>
  addressesOf(node: NodeId): readonly Address[]
  /** A record says where its node is to be found; `before`: where it was. */
  place(now: Millis, node: NodeId, addresses: readonly Address[], before: readonly Address[]): void
  /** Another process speaks with this node's key, now. */
  twin(addresses: readonly Address[] | undefined): void
  /** A document that was not known. */
  document(bytes: Uint8Array): void
}

export interface Hearing {
  /** Merges statements that came together, then draws the conclusions. Gives how many were news; `onNews` is told the index of each. */
  take(now: Millis, items: readonly Heard[], onNews?: (index: number) => void): number
}

/** What comes from others, by gossip or by a comparison: the table learns it, and what is said of this node itself is answered. */
export function createHearing(init: HearingInit): Hearing {
  const { self, table, profile, voice, roster, overlay, awareness, revoked, addressesOf } = init
  let hasOutdone = false
  /** How often in a row somebody has answered the epoch that we went to. */
  let answers = 0

  const take = (now: Millis, items: readonly Heard[], onNews?: (index: number) => void): number => {
    const changes = new Map<NodeId, Change & { known: readonly Address[] }>()
    let news = 0
    for (const [index, item] of items.entries()) {
      const subject = subjectOf(item)
      if (subject === self) {
        hearOfSelf(now, item)
        continue
      }
      const known = item.kind === 'record' ? addressesOf(item.statement.body.node) : []
      if (!merge(item)) continue
      news += 1
      onNews?.(index)
      if (subject === undefined) continue
      const change = changes.get(subject) ?? { record: false, vitals: false, known }
      changes.set(subject, change)
      if (item.kind === 'record') change.record = true
      if (item.kind === 'vitals') change.vitals = true
    }
    for (const [node, change] of changes) {
      roster.reflect(now, node, change)
      if (!change.record) continue
      const { record } = table.entries.get(node)!
      if (record.body.presence === 'left') continue
      init.place(now, node, record.body.addresses, change.known)
    }
    return news
  }
  const merge = (item: Heard): boolean => {
    switch (item.kind) {
      case 'record':
        return !revoked.has(item.statement.body.node) && table.mergeRecord(item.statement)
      case 'vitals': {
        const { node, coordinate } = item.statement.body
        if (revoked.has(node)) return false
        // Said seldom: vitals without one leave the last that was said in force.
        const place = coordinate === undefined ? roster.members.get(node)?.coordinate : undefined
        if (!table.mergeVitals(item.statement)) return false
        if (place !== undefined) roster.members.get(node)!.coordinate = place
        return true
      }
      case 'suspicion':
        return (
          !revoked.has(item.observer) &&
          !revoked.has(item.statement.body.subject) &&
          table.mergeSuspicion(item.statement, item.observer)
        )
      case 'dismissal':
        return !revoked.has(item.statement.body.subject) && table.mergeDismissal(item.statement)
      case 'document':
        if (!table.addDocument(documentId(item.bytes), item.bytes)) return false
        init.document(item.bytes)
        return true
      default:
        return item satisfies never
    }
  }
  /**
   * Whoever goes on with our key from the very epoch that we went to has heard us, so he lives. No clock tells that: those of hosts are set, and
   * what an earlier life said may come late.
   */
  const outdo = (now: Millis, epoch: number, addresses?: readonly Address[]): void => {
    if (epoch < voice.epoch) return
    answers = hasOutdone && epoch <= voice.epoch + 1 ? answers + 1 : 0
    hasOutdone = true
    voice.outdo(now, epoch)
    if (answers >= ANSWERS) init.twin(addresses)
  }
  const hearOfSelf = (now: Millis, item: Heard): void => {
    if (voice.leaving) return
    const { record, vitals } = table.entries.get(self)!
    switch (item.kind) {
      case 'record':
        if (compareRecords(item.statement, record) <= 0) return
        return outdo(now, item.statement.body.epoch, item.statement.body.addresses)
      case 'vitals':
        if (
          vitals === undefined ? item.statement.body.epoch <= voice.epoch : compareVitals(item.statement, vitals) <= 0
        )
          return
        return outdo(now, item.statement.body.epoch)
      case 'suspicion': {
        const { body } = item.statement
        if (refutes(record, item.statement)) return
        if (body.epoch > voice.epoch || body.seq > voice.seq) return voice.outdo(now, body.epoch)
        // Once for each version: more of the same say nothing new about our health.
        if (voice.nextAt() > now + profile.probeInterval && overlay.mayObserve(item.observer, self)) awareness.refuted()
        return voice.refute(now)
      }
      case 'dismissal': {
        const { body } = item.statement
        if (voids(record, item.statement)) return
        // A version that this life never said, a goodbye among them.
        if (body.epoch > voice.epoch || body.seq > voice.seq || body.presence === 'left')
          return voice.outdo(now, body.epoch)
        return voice.refute(now)
      }
      case 'document':
        return
      default:
        return item satisfies never
    }
  }

  return { take }
}
