import {
  type Address,
  DISMISSAL,
  documentId,
  FleetError,
  type Millis,
  millis,
  type NodeId,
  type NodeRecord,
  type Statement,
  SUSPICION,
  type Suspicion,
} from '../protocol/index.ts'
import { createAddressBook } from './address-book.ts'
import { claimItems } from './antientropy.ts'
import { createAtlas } from './atlas.ts'
import { createAwareness } from './awareness.ts'
import { createCoordinates, isPlaced } from './coordinates.ts'
import { createDetector } from './detector.ts'
import { strength } from './evidence.ts'
import { decodeFrame, encodeFrame, encodeGossip, type Frame, type GossipKind, type Item } from './frames.ts'
import { isNews } from './heard.ts'
import { createHearing } from './hearing.ts'
import { brokenInvariants } from './invariants.ts'
import { createJudge } from './judge.ts'
import { type MemberView, type Status, viewOf } from './members.ts'
import { createOverlay, type Overlay } from './overlay.ts'
import { createRedial } from './redial.ts'
import { createRelays } from './relays.ts'
import { createRoster, type Roster } from './roster.ts'
import { createSyncing } from './syncing.ts'
import { createTable, isSuspected, type Table } from './table.ts'
import type { Effect, Heard, Input, MembershipInit } from './types.ts'
import { createVoice } from './voice.ts'

/** A member that is doubted is shown the suspicions this often at most, so that it can refute what gossip did not bring it. Milliseconds. */
const TELL_EVERY = 1_000

export interface Membership {
  /** Takes one input at time `now`, which never goes back, and returns what is to be done, in order. */
  step(now: Millis, input: Input): Effect[]
  members(): readonly MemberView[]
  member(node: NodeId): MemberView | undefined
  /** Its status alone, and the record that it is known by: for who asks about very many. */
  status(node: NodeId): Status | undefined
  record(node: NodeId): Statement<NodeRecord> | undefined
  /** Peers with a link right now. */
  links(): readonly NodeId[]
  /** Peers that the overlay gives this node as neighbours. */
  neighbours(): readonly NodeId[]
  /** Whether a gossiped statement is worth passing on. */
  news(heard: Heard): boolean
  /** True for a node whose record has been accepted here, and that is not revoked. */
  knows(node: NodeId): boolean
  stats(): {
    /** 0 is well, 8 is worst: how much longer this node waits before it calls others sick. */
    readonly healthScore: number
    readonly alive: number
    readonly failed: number
    readonly left: number
    readonly documents: number
    readonly documentBytes: number
    /** How often this node's network coordinate went out of range and began anew. */
    readonly coordinateResets: number
  }
  /** What must hold at any time, as sentences about what does not. */
  invariants(): string[]
}

/**
 * Who is in the fleet and who is alive, as one machine without clock or socket (DESIGN §5, docs/membership.md). It keeps a
 * table of signed statements that merges like a set, probes the nodes that the overlay assigns to it, and derives
 * every member's status from what it holds: nobody declares another one failed. With `like` it begins with all that another
 * machine, of the same atlas, holds: so do simulated fleets that are of one mind from the start.
 */
export function createMembership(init: MembershipInit, like?: Membership): Membership {
  const { self, profile, random } = init
  const atlas = init.atlas ?? createAtlas()
  const table = createTable(atlas)
  const others = like === undefined ? undefined : parts.get(like)
  if (others !== undefined) table.copy(others.table)
  /** Known from an earlier life, and not among the members. */
  const strays = init.peers.filter(([node]) => node !== self && table.entries.get(node) === undefined)
  const overlay = createOverlay(self, atlas)
  const awareness = createAwareness()
  const judge = createJudge(profile, overlay, awareness, node => (roster.members.get(node)?.doubts.size ?? 0) > 0)
  const voice = createVoice(init)
  const book = createAddressBook(
    strays,
    init.peers.some(([node]) => node !== self),
    function* () {
      for (const { node, record } of table.entries.values())
        if (node !== self && record.body.presence === 'here') yield [node, record.body.addresses]
    },
  )
  const relays = createRelays(profile)
  const coordinates = createCoordinates(random)
  const revoked = new Set<NodeId>()
  let effects: Effect[] = []
  let stepNow = init.now
  let askedToWake: number = init.now
  let armedAt: number | undefined
  /** Counts what changes whom we want besides the overlay itself. */
  let turn = 0

  const saidAt = new Map<NodeId, Millis>()
  const send = (peer: NodeId, frame: Frame): void => {
    saidAt.set(peer, stepNow)
    effects.push({ type: 'send', peer, frame: encodeFrame(frame) })
  }
  const publish = (kind: GossipKind, bytes: Uint8Array): void =>
    void effects.push({ type: 'publish', message: encodeGossip(kind, bytes) })

  // ---- the parts ----

  const syncing = createSyncing({
    self,
    table,
    profile,
    random,
    start: init.now,
    revoked,
    open: init.open,
    links: () => redial.links(),
    send,
    sendBytes: (peer, frame) => effects.push({ type: 'send', peer, frame }),
    publish,
    take: (now, items, onNews) => void take(now, items, onNews),
  })

  const version = (): number => overlay.version + turn
  const whenChanged = <T>(compute: () => T): (() => T) => {
    let known: { version: number; value: T } | undefined
    return () => {
      if (known?.version !== version()) known = { version: version(), value: compute() }
      return known.value
    }
  }
  const attached = (): boolean => voice.record.class === 'intermittent'
  const neighbours = whenChanged(
    (): ReadonlySet<NodeId> => new Set(voice.leaving ? [] : attached() ? overlay.attachments() : overlay.neighbours()),
  )
  const subjects = whenChanged((): readonly NodeId[] => (voice.leaving || attached() ? [] : overlay.successors()))
  const observers = whenChanged((): readonly NodeId[] => (voice.leaving || attached() ? [] : overlay.predecessors()))
  const lost = (): readonly NodeId[] => {
    if (voice.leaving) return []
    if (!attached()) return overlay.lostNearby()
    // No ring neighbours would call it: cut off, it calls whoever it ever knew.
    return cutOff() ? book.nodes() : []
  }
  const cutOff = (): boolean => {
    if (!attached()) return redial.links().size === 0
    for (const peer of redial.links().keys()) if (overlay.has(peer)) return false
    return true
  }

  const addressesOf = (node: NodeId): readonly Address[] =>
    table.entries.get(node)?.record.body.addresses ?? book.of(node)

  const redial = createRedial(
    {
      self,
      profile,
      random,
      wanted: neighbours,
      lost,
      version,
      addressesOf,
      keep: node => !attached() && table.entries.get(node)?.record.body.class === 'intermittent',
      cutOff,
      connect: (peer, addresses) => effects.push({ type: 'connect', peer, addresses }),
      disconnect: peer => effects.push({ type: 'disconnect', peer }),
    },
    init.now,
  )
  const roster = createRoster({
    self,
    atlas,
    profile,
    table,
    overlay,
    judge,
    book,
    linked: redial.linked,
    start: init.now,
    notify: (event, member) => effects.push({ type: 'event', event, member }),
    failed(node) {
      // Whatever connection is left of it is dead, and would look like one that works.
      if (redial.linked(node)) effects.push({ type: 'disconnect', peer: node })
      // Gossip may have lost its refutation, and a neighbour may have it.
      syncing.hurry(stepNow)
    },
  })
  const detector = createDetector(
    {
      profile,
      awareness,
      random,
      subjects,
      attachments: () => (attached() && !voice.leaving ? [...neighbours()] : []),
      measurements: () => coordinates.observations,
      observers,
      saidAt: node => saidAt.get(node),
      sendBeat: node => send(node, { type: 'beat' }),
      heardAt: node => roster.members.get(node)?.heardAt,
      relays: subject => [...redial.links().keys()].filter(peer => peer !== subject && overlay.has(peer)),
      linked: redial.linked,
      sendProbe: (node, serial) => send(node, { type: 'probe', serial }),
      askRelay: (relay, serial, subject) => send(relay, { type: 'relay', serial, subject }),
      measured(now, node, rtt, theirs) {
        const member = roster.members.get(node)
        if (member === undefined) return
        // Smoothed as TCP does it (RFC 6298, alpha = 1/8).
        member.rtt = member.rtt === undefined ? rtt : member.rtt + (rtt - member.rtt) / 8
        if (isPlaced(theirs)) member.coordinate = theirs
        if (coordinates.observe(node, theirs, rtt)) locate(now)
      },
      knock: node =>
        effects.push({ type: 'knock', peer: node, addresses: addressesOf(node), timeout: profile.knockTimeout }),
      unheard: (node, evidence) => suspect(node, evidence),
    },
    init.now,
  )

  const { take } = createHearing({
    self,
    table,
    profile,
    voice,
    roster,
    overlay,
    awareness,
    revoked,
    addressesOf,
    place: (now, node, addresses, before) => {
      if (book.learn(now, node, addresses, before)) detector.moved(node)
      redial.retry(now, node)
    },
    twin: addresses => effects.push({ type: 'twin', addresses }),
    document: bytes => effects.push({ type: 'document', bytes }),
  })

  // ---- what is said ----

  const suspect = (node: NodeId, evidence: Suspicion['evidence']): void => {
    const member = roster.members.get(node)
    if (member === undefined || voice.leaving || !overlay.has(node)) return
    const { epoch, seq } = member.entry.record.body
    const known = member.entry.suspicions.get(self)?.body
    if (known?.epoch === epoch && known.seq === seq && strength(evidence) <= strength(known.evidence)) return
    const statement = init.sign(SUSPICION, { subject: node, epoch, seq, evidence, since: millis(Math.floor(stepNow)) })
    if (take(stepNow, [{ kind: 'suspicion', statement, observer: self }]) > 0) publish('suspicion', statement.bytes)
  }

  const dismiss = (node: NodeId, prune: boolean): void => {
    const member = roster.members.get(node)
    if (member === undefined || !['failed', 'overdue', 'left'].includes(member.status)) return
    const { epoch, seq, presence } = member.entry.record.body
    const statement = init.sign(DISMISSAL, { subject: node, epoch, seq, presence, prune })
    if (take(stepNow, [{ kind: 'dismissal', statement }]) > 0) publish('dismissal', statement.bytes)
  }

  const speak = (now: Millis): void => {
    if (now < voice.nextAt()) return
    const { record, vitals } = voice.say(now)
    if (record !== undefined && table.mergeRecord(record)) {
      publish('record', record.bytes)
      roster.reflect(now, self, { record: true, vitals: false })
    }
    if (vitals !== undefined && table.mergeVitals(vitals)) publish('vitals', vitals.bytes)
  }

  /** This node's place has changed: seen here at once, and said when it is worth it. */
  const locate = (now: Millis): void => {
    const { own } = coordinates
    const me = roster.members.get(self)
    if (me !== undefined) me.coordinate = isPlaced(own) ? own : undefined
    voice.locate(now, own)
  }

  // ---- frames ----

  const takeFrame = (now: Millis, peer: NodeId, frame: Frame): void => {
    switch (frame.type) {
      case 'beat':
        return
      case 'probe':
        return send(peer, { type: 'ack', serial: frame.serial, coordinate: coordinates.own })
      case 'ack': {
        const relay = relays.answered(frame.serial, peer)
        if (relay !== undefined) return send(relay.asker, { type: 'relayed', serial: relay.serial, alive: true })
        return detector.ack(now, frame.serial, peer, frame.coordinate)
      }
      case 'relay': {
        const serial = redial.linked(frame.subject) ? relays.begin(now, peer, frame.serial, frame.subject) : undefined
        if (serial === undefined) return send(peer, { type: 'relayed', serial: frame.serial, alive: false })
        return send(frame.subject, { type: 'probe', serial })
      }
      case 'relayed':
        return detector.relayed(frame.serial, peer, frame.alive)
      case 'digest':
      case 'keys':
      case 'offer':
      case 'want':
      case 'items':
        return syncing.frame(now, peer, frame)
      default:
        return frame satisfies never
    }
  }
  /** Whoever speaks to us while others doubt it is told, so that it can refute: SWIM's buddy system, for any frame. */
  const tellDoubted = (now: Millis, peer: NodeId): void => {
    const member = roster.members.get(peer)
    if (member === undefined || !isSuspected(member.entry) || now - member.toldAt < TELL_EVERY) return
    member.toldAt = now
    send(peer, { type: 'items', items: claimItems(member.entry), last: false })
  }

  // ---- inputs ----

  const wake = (now: Millis): void => {
    detector.wake(now)
    redial.wake(now)
    for (const { asker, serial } of relays.expired(now)) send(asker, { type: 'relayed', serial, alive: false })
    syncing.wake(now)
    const peers = book.due(now)
    if (peers !== undefined) effects.push({ type: 'peers', peers })
  }
  /** Standing still, we heard nothing: it was us, not they, and nobody is judged by it. */
  const resume = (now: Millis, stoodStill: number): void => {
    detector.forget(now)
    judge.postpone(now, stoodStill + profile.probeInterval)
  }
  const linksChanged = (wasCutOff: boolean): void => {
    if (wasCutOff !== cutOff()) turn += 1
  }

  const handle = (now: Millis, input: Input): void => {
    const wasCutOff = cutOff()
    switch (input.type) {
      case 'wake':
        armedAt = undefined
        awareness.loopDelay(input.late)
        return wake(now)
      case 'linkUp': {
        if (revoked.has(input.peer)) return void effects.push({ type: 'disconnect', peer: input.peer })
        const known = redial.linked(input.peer)
        redial.linkUp(now, input.peer)
        roster.heard(now, input.peer)
        linksChanged(wasCutOff)
        if (!known) syncing.compare(input.peer)
        return
      }
      case 'linkDown':
        saidAt.delete(input.peer)
        redial.linkDown(now, input.peer)
        syncing.drop(input.peer)
        return linksChanged(wasCutOff)
      case 'dialFailed':
        redial.failed(now, input.peer, input.addresses)
        if (
          input.refused &&
          input.peer !== undefined &&
          redial.lostLately(now, input.peer) &&
          overlay.mayObserve(self, input.peer)
        )
          suspect(input.peer, 'refused')
        return
      case 'knocked':
        return detector.knocked(now, input.peer, input.answer)
      case 'frame':
        if (revoked.has(input.peer)) return
        roster.heard(now, input.peer)
        try {
          takeFrame(now, input.peer, decodeFrame(input.frame))
        } catch (error) {
          if (!(error instanceof FleetError)) throw error
          effects.push({ type: 'misbehaved', peer: input.peer, reason: error.message })
        }
        return tellDoubted(now, input.peer)
      case 'heard':
        return roster.heard(now, input.peer)
      case 'gossip':
        take(now, [input.heard])
        return
      case 'join':
        if (input.peer !== self && (input.peer === undefined || !revoked.has(input.peer)))
          redial.seek(now, input.peer, input.addresses)
        return
      case 'record':
        turn += 1
        if (input.change.addresses !== undefined) redial.retryAll(now)
        return voice.change(now, input.change)
      case 'vitals':
        return voice.setVitals(now, input.vitals)
      case 'document':
        if (table.addDocument(documentId(input.bytes), input.bytes)) publish('document', input.bytes)
        return
      case 'forget':
        table.removeDocument(input.id)
        return syncing.forget(now, input.id)
      case 'policy':
        return syncing.reconsider(now)
      case 'revoked':
        // Of ourselves: it is for the others to act on.
        if (input.node === self) return
        revoked.add(input.node)
        roster.expel(now, input.node)
        // What it said of others is taken from it by nobody any more, so it must not count where it was heard before.
        for (const subject of table.dropSuspicionsBy(input.node))
          roster.reflect(now, subject, { record: false, vitals: false })
        if (redial.linked(input.node)) effects.push({ type: 'disconnect', peer: input.node })
        return
      case 'dismiss':
        return dismiss(input.node, input.prune)
      case 'leave': {
        turn += 1
        voice.leave(now)
        speak(now)
        // Gossip may need its heartbeat; the neighbours hear it at once.
        const goodbye: Item = ['record', table.entries.get(self)!.record.bytes]
        for (const peer of redial.links().keys()) send(peer, { type: 'items', items: [goodbye], last: false })
        return
      }
      default:
        return input satisfies never
    }
  }

  let watched: { readonly version: number; readonly at: number } | undefined
  /** Gossip makes it look at nobody sooner, unless by changing who there is to look at. */
  const detectorAt = (input: Input): number => {
    if (input.type !== 'gossip' || watched?.version !== version())
      watched = { version: version(), at: detector.nextAt() }
    return watched.at
  }
  const nextWake = (now: Millis, input: Input): Millis =>
    millis(
      Math.max(
        now + 5,
        Math.min(
          detectorAt(input),
          redial.nextAt(),
          roster.nextAt(),
          relays.nextAt(),
          voice.nextAt(),
          book.nextAt(),
          syncing.nextAt(),
        ),
      ),
    )

  if (others !== undefined) {
    roster.copy(others.roster)
    overlay.copy(others.overlay)
  }
  for (const [node] of strays) overlay.put(node, 'lost')
  speak(init.now)

  const machine: Membership = {
    step(now, input) {
      effects = []
      stepNow = now
      if (now - askedToWake > 2 * profile.probeInterval) resume(now, now - askedToWake)
      else if (input.type === 'heard') {
        // Every byte from a peer comes by here: nothing that needs a conclusion.
        roster.heard(now, input.peer)
        return effects
      }
      handle(now, input)
      speak(now)
      roster.wake(now)
      askedToWake = nextWake(now, input)
      if (askedToWake !== armedAt) {
        armedAt = askedToWake
        effects.push({ type: 'wakeAt', at: millis(askedToWake) })
      }
      return effects
    },
    members: () => [...roster.members.values()].filter(member => !member.reaped).map(viewOf),
    member(node) {
      const member = roster.members.get(node)
      return member === undefined || member.reaped ? undefined : viewOf(member)
    },
    status(node) {
      const member = roster.members.get(node)
      return member?.reaped === false ? member.status : undefined
    },
    record: node => table.entries.get(node)?.record,
    links: () => [...redial.links().keys()],
    neighbours: () => [...neighbours()],
    news: item => isNews(table, revoked, item),
    knows: node => roster.members.has(node),
    stats() {
      const count = { alive: 0, failed: 0, left: 0 }
      for (const { status, reaped } of roster.members.values()) {
        if (reaped) continue
        if (status === 'alive' || status === 'suspect') count.alive += 1
        else if (status === 'failed' || status === 'left') count[status] += 1
      }
      const { documents, documentBytes } = table.stats()
      return { healthScore: awareness.score, ...count, documents, documentBytes, coordinateResets: coordinates.resets }
    },
    invariants: () => brokenInvariants({ self, leaving: voice.leaving, table, roster, overlay, revoked }),
  }
  parts.set(machine, { table, roster, overlay })
  return machine
}

/** What a machine can be copied from. */
const parts = new WeakMap<Membership, { table: Table; roster: Roster; overlay: Overlay }>()
