import {
  type Coordinate,
  type Millis,
  millis,
  type NodeId,
  type NodeRecord,
  packCoordinate,
  RECORD,
  type Statement,
  type StatementKind,
  VITALS,
  type Vitals,
} from '../protocol/index.ts'
import type { Profile } from './profiles.ts'
import type { SelfRecord, SelfVitals } from './types.ts'
import { createWhereabouts } from './whereabouts.ts'

/**
 * Own records are at least this far apart, milliseconds: whoever makes us refute again and again does not make us flood the
 * fleet. Well under the shortest suspicion, so that a refutation comes in time.
 */
const RECORD_INTERVAL = 200

/** What this node says of itself, with its versions. */
export interface Voice {
  readonly record: SelfRecord
  readonly epoch: number
  readonly seq: number
  readonly leaving: boolean
  change(now: Millis, change: Partial<SelfRecord>): void
  setVitals(now: Millis, vitals: SelfVitals): void
  /** Where this node stands now. Goes along with every vitals, and brings some about when it has moved enough. */
  locate(now: Millis, coordinate: Coordinate): void
  /** A newer record is due, because somebody doubts this one. */
  refute(now: Millis): void
  /**
   * Somebody remembers a record of ours that this life did not say, and that counts more: the directory is an old copy. From
   * here on our epoch is above that one.
   */
  outdo(now: Millis, epoch: number): void
  leave(now: Millis): void
  /** What is due to be said, signed. */
  say(now: Millis): { record: Statement<NodeRecord> | undefined; vitals: Statement<Vitals> | undefined }
  nextAt(): number
}

export function createVoice(init: {
  readonly self: NodeId
  readonly epoch: number
  readonly record: SelfRecord
  readonly now: Millis
  readonly profile: Profile
  readonly sign: <T>(kind: StatementKind<T>, body: T) => Statement<T>
}): Voice {
  const { self, profile } = init
  const never = Number.POSITIVE_INFINITY
  let { epoch, record } = init
  let vitals: SelfVitals = { health: 'unknown', reason: '', layers: [], images: [], taint: [] }
  let seq = 0
  let vitalsSeq = 0
  let leaving = false
  const whereabouts = createWhereabouts()
  let recordAt: number = init.now
  let recordDue: number = init.now
  let vitalsAt = Number.NEGATIVE_INFINITY
  let vitalsDue = init.record.class === 'intermittent' ? init.now + profile.beat : never

  const dueRecord = (now: Millis): void => {
    recordDue = Math.min(recordDue, Math.max(now, recordAt + RECORD_INTERVAL))
  }

  return {
    get record() {
      return record
    },
    get epoch() {
      return epoch
    },
    get seq() {
      return seq
    },
    get leaving() {
      return leaving
    },
    change(now, change) {
      record = { ...record, ...change }
      dueRecord(now)
    },
    setVitals(now, next) {
      vitals = next
      vitalsDue = Math.min(vitalsDue, Math.max(now, vitalsAt + profile.vitalsInterval))
    },
    locate(now, coordinate) {
      whereabouts.moved(now, coordinate)
      if (whereabouts.due(now)) vitalsDue = Math.min(vitalsDue, Math.max(now, vitalsAt + profile.vitalsInterval))
    },
    refute: dueRecord,
    outdo(now, theirs) {
      if (theirs < epoch) return
      epoch = theirs + 1
      seq = 0
      dueRecord(now)
      if (vitalsSeq > 0) vitalsDue = Math.min(vitalsDue, Math.max(now, vitalsAt + profile.vitalsInterval))
    },
    leave(now) {
      leaving = true
      recordDue = now
    },
    say(now) {
      const said: { record: Statement<NodeRecord> | undefined; vitals: Statement<Vitals> | undefined } = {
        record: undefined,
        vitals: undefined,
      }
      if (now >= recordDue) {
        seq += 1
        recordAt = now
        recordDue = never
        const presence = leaving ? ('left' as const) : ('here' as const)
        said.record = init.sign(RECORD, { ...record, node: self, epoch, seq, presence })
      }
      if (now >= vitalsDue && !leaving) {
        vitalsSeq += 1
        vitalsAt = now
        vitalsDue = record.class === 'intermittent' ? now + profile.beat : never
        const place = whereabouts.say(now)
        said.vitals = init.sign(VITALS, {
          ...vitals,
          node: self,
          epoch,
          seq: vitalsSeq,
          ...(place === undefined ? {} : { coordinate: packCoordinate(place) }),
        })
      }
      return said
    },
    nextAt: () => millis(Math.min(recordDue, leaving ? never : vitalsDue)),
  }
}
