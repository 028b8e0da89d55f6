import { type Coordinate, type Millis, millis, type NodeId, type Random, type Suspicion } from '../protocol/index.ts'
import type { Awareness } from './awareness.ts'
import type { Knock } from './evidence.ts'
import type { Profile } from './profiles.ts'

/** A subject that is heard anyway is still probed this often, in intervals, so that its round trip stays known. */
const RTT_EVERY = 10
/** A node that has measured little is in a hurry to know where it stands: it measures this often, until it has measured so many times. */
const HURRY = 2
const HURRIED = 20
/** And how often an intermittent member, which observes nobody, measures the members that it is attached to, in intervals: for its coordinate alone. */
const ATTACHED_EVERY = 60
/** An observer that was sent anything within so many intervals before a round needs no further sign of life: the next comes 1 + SAID intervals later at most. */
const SAID = 0.1
/** A subject that was heard within so many intervals is not probed: its sign of life may be a little late. */
const FRESH = 1.25
/** How many times in an interval it is looked at who was not heard. */
const GRAINS = 8
/** The host of a subject that did not answer a knock while all was well is tried again so often, in intervals: only of one that did is the silence worth anything. */
const TRY_DOOR_EVERY = 60

interface Probe {
  readonly subject: NodeId
  readonly sentAt: Millis
  /** When others are asked; undefined once they have been. */
  relayAt: Millis | undefined
  /** When those others have had their time, so that what the host answers to a knock may be held against it. */
  readonly concludeAt: Millis
  readonly failAt: Millis
  /** Its host is knocked at, or was. */
  knocked: boolean
  /** What came of that, where it was no sign of life. */
  door: Exclude<Knock, 'open'> | undefined
  /** The others that were asked and have not said yet that they cannot reach it either. Nobody else's word counts. */
  readonly asked: Set<NodeId>
  /** For the round trip alone: no answer says nothing. */
  readonly measureOnly: boolean
}

/** What is known of how a subject's host answers a connection. `usual`: what it said when its daemon was heard, with when that was asked. */
interface Door {
  knockedAt: Millis
  knocking: boolean
  usual: Knock | undefined
  /** When it answered, if it did the last time. */
  answeredAt: Millis | undefined
}

export interface DetectorInit {
  readonly profile: Profile
  readonly awareness: Awareness
  readonly random: Random
  readonly subjects: () => readonly NodeId[]
  /** Peers that are not observed, and whose round trip is wanted all the same. */
  readonly attachments: () => readonly NodeId[]
  /** How many round trips have been measured so far. */
  readonly measurements: () => number
  /** Who observes this node, and when each was last sent anything. */
  readonly observers: () => readonly NodeId[]
  readonly saidAt: (node: NodeId) => Millis | undefined
  sendBeat(node: NodeId): void
  readonly heardAt: (node: NodeId) => Millis | undefined
  /** Neighbours with a link, other than the subject. */
  readonly relays: (subject: NodeId) => readonly NodeId[]
  readonly linked: (node: NodeId) => boolean
  sendProbe(node: NodeId, serial: number): void
  askRelay(relay: NodeId, serial: number, subject: NodeId): void
  /** Asks the subject's host for a sign of life; `knocked` tells what came of it. */
  knock(subject: NodeId): void
  measured(now: Millis, node: NodeId, rtt: number, coordinate: Coordinate): void
  unheard(node: NodeId, evidence: Suspicion['evidence']): void
}

export interface Detector {
  wake(now: Millis): void
  nextAt(): Millis
  ack(now: Millis, serial: number, from: NodeId, coordinate: Coordinate): void
  /** What one that was asked says of the subject. Ignored from anybody else, and the second time. */
  relayed(serial: number, from: NodeId, alive: boolean): void
  knocked(now: Millis, subject: NodeId, answer: Knock): void
  /** Its addresses are others now: what is known of how they answer is void. */
  moved(subject: NodeId): void
  /** This process stood still: whatever was not answered meanwhile says nothing about others. */
  forget(now: Millis): void
}

/** Largest serial of a probe; those above it belong to probes made for others. */
export const MAX_SERIAL = 0x7fff_ffff

/**
 * SWIM's failure detector (Das et al., DSN 2002) along the overlay: each subject once per interval, relayed when it does not
 * answer. Beyond SWIM, the subject's host is knocked at meanwhile, which tells a process that stands still from a host that is gone.
 */
export function createDetector(init: DetectorInit, start: Millis): Detector {
  const { profile, awareness, random } = init
  const probes = new Map<number, Probe>()
  const measuredIn = new Map<NodeId, number>()
  const doors = new Map<NodeId, Door>()
  let serial = random.int(MAX_SERIAL)
  let round = 0
  // A random phase, so that a fleet that was started together does not probe together.
  let nextRound = millis(start + random.int(profile.probeInterval))

  const probe = (now: Millis, subject: NodeId, measureOnly = false): Probe => {
    const stretch = awareness.score + 1
    serial = (serial + 1) % MAX_SERIAL
    const linked = init.linked(subject)
    const patience = profile.probeTimeout * stretch
    // Without a link there is nothing to wait for: others are asked at once.
    const relayAt = linked ? now + patience : now
    const outstanding: Probe = {
      subject,
      sentAt: now,
      relayAt: measureOnly ? undefined : millis(relayAt),
      concludeAt: millis(relayAt + patience),
      failAt: millis(now + Math.max(profile.probeInterval, 2 * profile.probeTimeout) * stretch),
      knocked: false,
      door: undefined,
      asked: new Set(),
      measureOnly,
    }
    probes.set(serial, outstanding)
    if (linked) init.sendProbe(subject, serial)
    return outstanding
  }

  const knock = (now: Millis, subject: NodeId): void => {
    const door = doors.get(subject) ?? { knockedAt: now, knocking: false, usual: undefined, answeredAt: undefined }
    doors.set(subject, door)
    if (door.knocking) return
    door.knockedAt = now
    door.knocking = true
    init.knock(subject)
  }
  const unheard = (id: number, { subject, asked }: Probe, evidence: Suspicion['evidence']): void => {
    probes.delete(id)
    if (asked.size > 0) awareness.nobodyAnswered()
    init.unheard(subject, evidence)
  }
  const expire = (now: Millis): void => {
    for (const [id, outstanding] of probes) {
      const heard = (init.heardAt(outstanding.subject) ?? 0) > outstanding.sentAt
      if (heard) probes.delete(id)
      else if (outstanding.door !== undefined && outstanding.relayAt === undefined && now >= outstanding.concludeAt)
        unheard(id, outstanding, outstanding.door === 'none' ? 'unreachable' : 'refused')
      else if (now >= outstanding.failAt) {
        if (outstanding.measureOnly) probes.delete(id)
        else unheard(id, outstanding, 'silence')
      } else if (outstanding.relayAt !== undefined && now >= outstanding.relayAt) {
        outstanding.relayAt = undefined
        const relays = random.shuffle(init.relays(outstanding.subject)).slice(0, profile.relays)
        for (const relay of relays) outstanding.asked.add(relay)
        for (const relay of relays) init.askRelay(relay, id, outstanding.subject)
        if (!outstanding.knocked) knock(now, outstanding.subject)
        outstanding.knocked = true
      }
    }
  }
  const fresh = (now: Millis, subject: NodeId): boolean =>
    now - (init.heardAt(subject) ?? 0) < FRESH * profile.probeInterval
  const underWay = (subject: NodeId): boolean => {
    for (const outstanding of probes.values()) if (outstanding.subject === subject) return true
    return false
  }
  /** Looked at in steps, so that five subjects that are heard all the time do not move the timer with every frame. */
  const inGrain = (at: number): number => {
    const grain = profile.probeInterval / GRAINS
    return Math.ceil(at / grain) * grain
  }
  /** Probes those that were not heard when they should have been. */
  const watch = (now: Millis): void => {
    for (const subject of init.subjects()) {
      if (fresh(now, subject) || underWay(subject)) continue
      // At once and not when the answer is late: a host that is gone is known to be gone when the others have been asked.
      probe(now, subject).knocked = true
      knock(now, subject)
    }
  }

  const begin = (now: Millis): void => {
    nextRound = millis(now + profile.probeInterval)
    round += 1
    // One frame instead of a probe and its answer: an observer only asks those from whom it hears nothing.
    for (const observer of init.observers())
      if (init.linked(observer) && now - (init.saidAt(observer) ?? 0) >= SAID * profile.probeInterval)
        init.sendBeat(observer)
    const subjects = init.subjects()
    const attachments = init.attachments()
    const every = init.measurements() < HURRIED ? HURRY : RTT_EVERY
    for (const subject of subjects) {
      if (!fresh(now, subject) || !init.linked(subject)) continue
      const door = doors.get(subject)
      const tried =
        door !== undefined && (door.usual === 'open' || now - door.knockedAt < TRY_DOOR_EVERY * profile.probeInterval)
      if (!tried) knock(now, subject)
      if (round - (measuredIn.get(subject) ?? Number.NEGATIVE_INFINITY) < every || underWay(subject)) continue
      measuredIn.set(subject, round)
      probe(now, subject)
    }
    for (const peer of attachments) {
      if (underWay(peer) || !init.linked(peer)) continue
      if (round - (measuredIn.get(peer) ?? Number.NEGATIVE_INFINITY) < ATTACHED_EVERY) continue
      measuredIn.set(peer, round)
      probe(now, peer, true)
    }
    if (measuredIn.size > 4 * (subjects.length + attachments.length + 1)) measuredIn.clear()
    if (doors.size > 4 * (subjects.length + 1)) {
      for (const node of [...doors.keys()]) if (!subjects.includes(node)) doors.delete(node)
    }
  }

  return {
    wake(now) {
      expire(now)
      if (now >= nextRound) begin(now)
      watch(now)
      expire(now)
    },
    nextAt() {
      let at: number = nextRound
      for (const { relayAt, door, concludeAt, failAt } of probes.values())
        at = Math.min(at, relayAt ?? (door === undefined ? failAt : Math.min(failAt, concludeAt)))
      for (const subject of init.subjects())
        if (!underWay(subject)) at = Math.min(at, inGrain((init.heardAt(subject) ?? 0) + FRESH * profile.probeInterval))
      return millis(at)
    },
    ack(now, id, from, coordinate) {
      const outstanding = probes.get(id)
      if (outstanding === undefined || outstanding.subject !== from) return
      probes.delete(id)
      awareness.probeAnswered()
      init.measured(now, from, now - outstanding.sentAt, coordinate)
    },
    relayed(id, from, alive) {
      if (probes.get(id)?.asked.delete(from) === true && alive) probes.delete(id)
    },
    knocked(now, subject, answer) {
      const door = doors.get(subject)
      if (door === undefined) return
      door.knocking = false
      const asking = [...probes.values()].find(
        outstanding => outstanding.subject === subject && !outstanding.measureOnly,
      )
      const { answeredAt } = door
      door.answeredAt = answer === 'open' ? now : undefined
      if (answer === 'open' || asking === undefined) {
        if (fresh(now, subject) || answer === 'open') door.usual = answer
        return
      }
      if (door.usual !== 'open') return
      // It was up with a daemon that stood still a moment ago. Packets get lost: only the second silence in a row outweighs that.
      if (answer === 'none' && answeredAt !== undefined && answeredAt > (init.heardAt(subject) ?? 0)) return
      asking.door = answer
      expire(now)
    },
    moved: subject => void doors.delete(subject),
    forget(now) {
      probes.clear()
      nextRound = millis(now + profile.probeInterval)
    },
  }
}
