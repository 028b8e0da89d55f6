import {
  type Address,
  FleetError,
  type Millis,
  millis,
  type NodeId,
  type NodeRecord,
  RECORD,
  type Statement,
  SUSPICION,
  type Suspicion,
  toFleetError,
  VITALS,
} from '../protocol/index.ts'
import { createAwareness } from './awareness.ts'
import { createDialer } from './dialer.ts'
import { decodeFrame, encodeFrame, encodeGossip, type Frame, type GossipKind } from './frames.ts'
import { createOverlay } from './overlay.ts'
import { createProber } from './prober.ts'
import { suspicionTimeout } from './suspicion.ts'
import { compare, digestFrame, itemFrames, keysFor } from './sync.ts'
import { createTable, documentId, type Member, type Status } from './table.ts'
import type { Effect, Heard, Input, MemberEvent, MembershipInit, MemberView, SelfRecord, SelfVitals } from './types.ts'

/** Failed and departed members are remembered this long, so that nobody who comes back late brings them up as news (Serf: 24 h). */
const REAP_AFTER = 24 * 3_600_000
/** An intermittent member says so this often while it is here, and is away when twice as much has passed. */
const INTERMITTENT_BEAT = 60_000
const DEFAULT_CONTACT_DEADLINE = 24 * 3_600_000
/** Frames that a neighbour may have waiting for relayed probes; more are dropped. */
const MAX_RELAYING = 256
const MAX_DOCUMENTS = 20_000
const MAX_MEMBERS = 20_000

export interface Membership {
  /** Takes one input at time `now` and returns what is to be done, in order. */
  step(now: Millis, input: Input): Effect[]
  members(): readonly MemberView[]
  member(node: NodeId): MemberView | undefined
  /** Peers with a link right now. */
  links(): readonly NodeId[]
  /** Whether a gossiped statement is worth passing on. */
  news(heard: Heard): boolean
  /** True for a node whose record has been accepted here, and that is not revoked. */
  knows(node: NodeId): boolean
  stats(): {
    readonly healthScore: number
    readonly alive: number
    readonly failed: number
    readonly left: number
    readonly documents: number
  }
  /** What must hold at any time, as sentences about what does not. */
  invariants(): string[]
}

/**
 * Who is in the fleet and who is alive, as one machine without clock or socket (DESIGN §5). It keeps a table of signed
 * statements that merges like a set, probes the nodes that the overlay assigns to it, and derives every member's status
 * from what it holds: nobody declares another one failed.
 */
export function createMembership(init: MembershipInit): Membership {
  const { self, profile, random } = init
  const table = createTable()
  const overlay = createOverlay()
  const awareness = createAwareness()
  const revoked = new Set<NodeId>()
  const knownAddresses = new Map<NodeId, readonly Address[]>(init.peers.filter(([node]) => node !== self))
  const relaying = new Map<number, { asker: NodeId; serial: number; subject: NodeId; until: Millis }>()
  const suspects = new Set<NodeId>()
  let effects: Effect[] = []
  let { epoch } = init
  let seq = 0
  let vitalsSeq = 0
  let own: SelfRecord = init.record
  let ownVitals: SelfVitals = { health: 'unknown', reason: '', layers: [], images: [], taint: [] }
  let leaving = false
  let vitalsDue: Millis | null = null
  let vitalsSentAt = Number.NEGATIVE_INFINITY
  let peersDue: Millis | null = null
  let syncAt = millis(init.now + random.int(profile.syncInterval))
  let reapAt = millis(init.now + 60_000)
  let askedToWake = init.now
  let relaySerial = 0
  let wantedCache: ReadonlySet<NodeId> | null = null
  let subjectsCache: readonly NodeId[] | null = null

  const send = (peer: NodeId, frame: Frame): void =>
    void effects.push({ type: 'send', peer, frame: encodeFrame(frame) })
  const publish = (kind: GossipKind, bytes: Uint8Array): void =>
    void effects.push({ type: 'publish', message: encodeGossip(kind, bytes) })

  // ---- the overlay ----

  const steady = (member: Member): boolean =>
    member.record.body.class !== 'intermittent' && (member.status === 'alive' || member.status === 'suspect')
  const place = (member: Member): void => {
    if (steady(member) === overlay.has(member.id)) return
    if (steady(member)) overlay.add(member.id)
    else overlay.remove(member.id)
    wantedCache = null
    subjectsCache = null
  }
  const wanted = (): ReadonlySet<NodeId> => {
    wantedCache ??= new Set(
      leaving ? [] : own.class === 'intermittent' ? overlay.attachments(self) : overlay.neighbours(self),
    )
    return wantedCache
  }
  const subjects = (): readonly NodeId[] => {
    subjectsCache ??= own.class === 'intermittent' ? [] : overlay.successors(self)
    return subjectsCache
  }
  const addressesOf = (node: NodeId): readonly Address[] =>
    table.members.get(node)?.record.body.addresses ?? knownAddresses.get(node) ?? []
  const lost = (): NodeId[] => {
    const nodes: NodeId[] = []
    for (const member of table.members.values())
      if (member.status === 'failed' || member.status === 'suspect') nodes.push(member.id)
    for (const node of knownAddresses.keys()) if (!table.members.has(node) && !revoked.has(node)) nodes.push(node)
    // All alone, everybody counts as lost.
    if (dialer.links().size === 0)
      for (const member of table.members.values())
        if (member.status === 'alive' && member.id !== self) nodes.push(member.id)
    return leaving ? [] : nodes
  }
  const heard = (now: Millis, node: NodeId): void => {
    const member = table.members.get(node)
    if (member !== undefined) member.heardAt = now
  }

  const dialer = createDialer(
    {
      self,
      profile,
      random,
      wanted,
      addressesOf,
      lost,
      connect: (peer, addresses) => effects.push({ type: 'connect', peer, addresses }),
      disconnect: peer => effects.push({ type: 'disconnect', peer }),
    },
    init.now,
  )
  const prober = createProber(
    {
      profile,
      awareness,
      random,
      subjects,
      heardAt: node => table.members.get(node)?.heardAt,
      relays: subject => [...dialer.links()].filter(peer => peer !== subject && overlay.has(peer)),
      linked: dialer.linked,
      sendProbe: (node, serial) => send(node, { type: 'probe', serial }),
      askRelay: (relay, serial, subject) => send(relay, { type: 'relay', serial, subject }),
      measured(node, rtt) {
        const member = table.members.get(node)
        // Smoothed as TCP does it (RFC 6298, alpha = 1/8).
        if (member !== undefined) member.rtt = member.rtt === undefined ? rtt : member.rtt + (rtt - member.rtt) / 8
      },
      unheard: node => suspect(node, 'silence'),
    },
    init.now,
  )

  // ---- what this node says ----

  const sayRecord = (now: Millis): void => {
    seq += 1
    const statement = init.sign(RECORD, {
      ...own,
      node: self,
      epoch,
      seq,
      presence: leaving ? ('left' as const) : ('here' as const),
    })
    const member = table.mergeRecord(statement, now)!
    setStatus(now, member, leaving ? 'left' : 'alive')
    publish('record', statement.bytes)
  }
  const sayVitals = (now: Millis): void => {
    vitalsSeq += 1
    vitalsSentAt = now
    vitalsDue = own.class === 'intermittent' ? millis(now + INTERMITTENT_BEAT) : null
    const statement = init.sign(VITALS, { ...ownVitals, node: self, epoch, seq: vitalsSeq })
    table.mergeVitals(statement, now)
    publish('vitals', statement.bytes)
  }
  const suspect = (node: NodeId, evidence: Suspicion['evidence']): void => {
    const member = table.members.get(node)
    if (
      member === undefined ||
      leaving ||
      (member.status !== 'alive' && member.status !== 'suspect') ||
      member.record.body.class === 'intermittent'
    )
      return
    const { epoch: theirs, seq: version } = member.record.body
    const statement = init.sign(SUSPICION, { subject: node, epoch: theirs, seq: version, evidence, since: stepNow })
    if (takeSuspicion(stepNow, statement, self)) publish('suspicion', statement.bytes)
  }

  // ---- statuses ----

  const notify = (event: MemberEvent, member: Member): void => {
    if (member.id !== self) effects.push({ type: 'event', event, member: view(member) })
  }
  const EVENT_OF: Record<Status, MemberEvent> = {
    alive: 'join',
    suspect: 'suspect',
    failed: 'failed',
    left: 'leave',
    away: 'away',
    overdue: 'overdue',
  }
  const setStatus = (now: Millis, member: Member, status: Status): void => {
    const before = member.status
    if (status === 'suspect') suspects.add(member.id)
    else suspects.delete(member.id)
    if (before !== status) {
      member.status = status
      member.since = now
      // Whatever connection is left of it is dead, and would look like one that works.
      if (status === 'failed' && dialer.linked(member.id)) effects.push({ type: 'disconnect', peer: member.id })
      // A suspect that turns out to be alive has neither left nor come.
      if (!(before === 'suspect' && status === 'alive')) notify(EVENT_OF[status], member)
      peersDue ??= millis(now + 1_000)
    }
    place(member)
  }

  /** When a suspect counts as failed, from the suspicions that are held against it. */
  const failsAt = (member: Member): Millis => {
    const refused = [...member.suspicions.values()].some(suspicion => suspicion.body.evidence === 'refused')
    const silence = suspicionTimeout(profile, overlay.size, member.suspicions.size - 1)
    return millis(
      member.suspectedAt + (refused ? Math.min(profile.refusedGrace, silence) : silence) * (1 + awareness.score / 4),
    )
  }

  const takeRecord = (now: Millis, statement: Statement<NodeRecord>): boolean => {
    const { body } = statement
    if (revoked.has(body.node)) return false
    if (body.node === self) {
      // Somebody remembers more of us than we do: our directory was restored from an older copy.
      if (body.epoch > epoch || (body.epoch === epoch && body.seq > seq)) {
        epoch = Math.max(epoch, body.epoch + (body.epoch > epoch ? 1 : 0))
        seq = body.epoch === epoch ? body.seq : 0
        sayRecord(now)
      }
      return false
    }
    const isNew = !table.members.has(body.node)
    if (isNew && table.members.size >= MAX_MEMBERS) return false
    const member = table.mergeRecord(statement, now)
    if (member === undefined) return false
    if (isNew) {
      member.status = body.presence === 'left' ? 'left' : 'alive'
      member.since = now
      place(member)
      notify(body.presence === 'left' ? 'leave' : 'join', member)
      peersDue ??= millis(now + 1_000)
    } else {
      const before = member.status
      setStatus(now, member, body.presence === 'left' ? 'left' : 'alive')
      if (before === member.status) notify('update', member)
    }
    place(member)
    return true
  }

  const takeSuspicion = (now: Millis, statement: Statement<Suspicion>, observer: NodeId): boolean => {
    const { subject, epoch: theirEpoch, seq: theirSeq } = statement.body
    if (revoked.has(observer)) return false
    if (subject === self) {
      if (theirEpoch === epoch && theirSeq >= seq && !leaving) {
        awareness.refuted()
        seq = theirSeq
        sayRecord(now)
      }
      return false
    }
    // Its assignment is judged by our view of the rings, which may lag behind by a member or two.
    if (observer !== self && !overlay.mayObserve(observer, subject)) return false
    const member = table.mergeSuspicion(statement, observer, now)
    if (member === undefined) return false
    if (member.status === 'alive') setStatus(now, member, 'suspect')
    return true
  }

  const take = (now: Millis, item: Heard): boolean => {
    switch (item.kind) {
      case 'record':
        return takeRecord(now, item.statement)
      case 'vitals': {
        if (item.statement.body.node === self || revoked.has(item.statement.body.node)) return false
        const member = table.mergeVitals(item.statement, now)
        if (member === undefined) return false
        if (member.status === 'away' || member.status === 'overdue') setStatus(now, member, 'alive')
        notify('update', member)
        return true
      }
      case 'suspicion':
        return takeSuspicion(now, item.statement, item.observer)
      case 'document':
        return takeDocument(item.bytes)
      default:
        return item satisfies never
    }
  }
  const takeDocument = (bytes: Uint8Array): boolean => {
    if (table.documents.size >= MAX_DOCUMENTS || !table.addDocument({ id: documentId(bytes), bytes })) return false
    effects.push({ type: 'document', bytes })
    return true
  }

  const settle = (now: Millis): void => {
    for (const node of suspects) {
      const member = table.members.get(node)
      if (member !== undefined && now >= failsAt(member)) setStatus(now, member, 'failed')
    }
  }

  /** The slow round: intermittent members that went quiet, and members that were gone for long enough. */
  const reap = (now: Millis): void => {
    reapAt = millis(now + 15_000)
    for (const member of [...table.members.values()]) {
      if (member.id === self) continue
      const gone = now - member.since
      if ((member.status === 'failed' || member.status === 'left') && gone >= REAP_AFTER) {
        notify('reap', member)
        table.remove(member.id)
        knownAddresses.delete(member.id)
        continue
      }
      if (member.record.body.class !== 'intermittent' || member.status === 'left') continue
      if (dialer.linked(member.id)) member.heardAt = now
      const quiet = now - member.heardAt
      if (quiet > (member.record.body.contactDeadline ?? DEFAULT_CONTACT_DEADLINE)) setStatus(now, member, 'overdue')
      else if (quiet > 2 * INTERMITTENT_BEAT && member.status === 'alive') setStatus(now, member, 'away')
    }
  }

  // ---- frames ----

  const takeFrame = (now: Millis, peer: NodeId, frame: Frame): void => {
    switch (frame.type) {
      case 'probe':
        return send(peer, { type: 'ack', serial: frame.serial })
      case 'ack': {
        const relay = relaying.get(frame.serial)
        if (relay?.subject === peer) {
          relaying.delete(frame.serial)
          return send(relay.asker, { type: 'relayed', serial: relay.serial, alive: true })
        }
        return prober.ack(now, frame.serial, peer)
      }
      case 'relay':
        if (relaying.size >= MAX_RELAYING) return
        if (!dialer.linked(frame.subject)) return send(peer, { type: 'relayed', serial: frame.serial, alive: false })
        relaySerial = (relaySerial + 1) % 0x7fff_ffff
        // Apart from the serials of the prober, which stay below this bit.
        relaying.set(0x8000_0000 + relaySerial, {
          asker: peer,
          serial: frame.serial,
          subject: frame.subject,
          until: millis(now + profile.probeTimeout),
        })
        return send(frame.subject, { type: 'probe', serial: 0x8000_0000 + relaySerial })
      case 'relayed':
        return prober.relayed(now, frame.serial, frame.alive)
      case 'digest':
        for (const answer of keysFor(table, frame.digests)) send(peer, answer)
        return
      case 'keys': {
        const { give, want } = compare(table, frame)
        for (const answer of itemFrames(table, give.members, give.documents)) send(peer, answer)
        if (want.members.length + want.documents.length > 0)
          send(peer, { type: 'want', members: want.members, documents: want.documents })
        return
      }
      case 'want':
        for (const answer of itemFrames(table, frame.members, frame.documents)) send(peer, answer)
        return
      case 'items':
        for (const [kind, bytes] of frame.items) {
          const item = init.open(kind, bytes)
          // What was news here is news to those behind us.
          if (item !== undefined && take(now, item)) publish(kind, bytes)
        }
        return
      default:
        return frame satisfies never
    }
  }

  const expireRelays = (now: Millis): void => {
    for (const [serial, relay] of relaying) {
      if (now < relay.until) continue
      relaying.delete(serial)
      send(relay.asker, { type: 'relayed', serial: relay.serial, alive: false })
    }
  }

  // ---- inputs ----

  const wake = (now: Millis, late: number): void => {
    awareness.loopDelay(late)
    if (now - askedToWake > 2 * profile.probeInterval) {
      // We stood still, not they: nobody is judged by what we did not hear meanwhile.
      prober.forget(now)
      for (const node of suspects) {
        const member = table.members.get(node)!
        member.suspectedAt = millis(Math.max(member.suspectedAt, now - profile.probeInterval))
      }
    }
    prober.wake(now)
    dialer.wake(now)
    expireRelays(now)
    settle(now)
    if (vitalsDue !== null && now >= vitalsDue) sayVitals(now)
    if (now >= syncAt) {
      syncAt = millis(now + profile.syncInterval / 2 + random.int(profile.syncInterval))
      const peer = random.pick([...dialer.links()])
      if (peer !== undefined) send(peer, digestFrame(table))
    }
    if (now >= reapAt) reap(now)
    if (peersDue !== null && now >= peersDue) {
      peersDue = null
      const peers = new Map(knownAddresses)
      for (const member of table.members.values())
        if (member.id !== self && member.status !== 'left') peers.set(member.id, member.record.body.addresses)
      effects.push({ type: 'peers', peers: [...peers] })
    }
  }

  let stepNow = init.now
  const handle = (now: Millis, input: Input): void => {
    switch (input.type) {
      case 'wake':
        return wake(now, input.late)
      case 'linkUp': {
        const known = dialer.linked(input.peer)
        dialer.linkUp(now, input.peer)
        heard(now, input.peer)
        if (!known) send(input.peer, digestFrame(table))
        return
      }
      case 'linkDown':
        return dialer.linkDown(now, input.peer)
      case 'dialFailed':
        dialer.failed(now, input.peer, input.addresses)
        if (input.refused && input.peer !== undefined && overlay.mayObserve(self, input.peer))
          suspect(input.peer, 'refused')
        return
      case 'frame':
        heard(now, input.peer)
        try {
          takeFrame(now, input.peer, decodeFrame(input.frame))
        } catch (error) {
          if (!(error instanceof FleetError)) throw error
          effects.push({ type: 'misbehaved', peer: input.peer, reason: toFleetError(error).message })
        }
        return
      case 'heard':
        return heard(now, input.peer)
      case 'gossip':
        take(now, input.heard)
        return
      case 'join':
        if (input.peer !== self) dialer.seek(now, input.peer, input.addresses)
        return
      case 'record':
        own = { ...own, ...input.change }
        wantedCache = null
        subjectsCache = null
        return sayRecord(now)
      case 'vitals':
        ownVitals = input.vitals
        vitalsDue = millis(
          Math.min(vitalsDue ?? Number.POSITIVE_INFINITY, Math.max(now, vitalsSentAt + profile.vitalsInterval)),
        )
        if (now >= vitalsDue) sayVitals(now)
        return
      case 'document':
        if (table.addDocument({ id: documentId(input.bytes), bytes: input.bytes })) publish('document', input.bytes)
        return
      case 'revoked': {
        revoked.add(input.node)
        const member = table.members.get(input.node)
        if (member !== undefined) {
          suspects.delete(input.node)
          overlay.remove(input.node)
          wantedCache = null
          subjectsCache = null
          notify('leave', member)
          table.remove(input.node)
        }
        knownAddresses.delete(input.node)
        if (dialer.linked(input.node)) effects.push({ type: 'disconnect', peer: input.node })
        return
      }
      case 'leave': {
        leaving = true
        sayRecord(now)
        // Gossip may need its heartbeat; the neighbours hear it at once.
        const items: Frame = { type: 'items', items: [['record', table.members.get(self)!.record.bytes]] }
        for (const peer of dialer.links()) send(peer, items)
        return
      }
      default:
        return input satisfies never
    }
  }

  const nextWake = (now: Millis): Millis => {
    let at: number = Math.min(
      prober.nextAt(),
      dialer.nextAt(),
      syncAt,
      reapAt,
      vitalsDue ?? Number.POSITIVE_INFINITY,
      peersDue ?? Number.POSITIVE_INFINITY,
    )
    for (const node of suspects) at = Math.min(at, failsAt(table.members.get(node)!))
    for (const relay of relaying.values()) at = Math.min(at, relay.until)
    return millis(Math.max(at, now + 10))
  }

  // ---- what others see ----

  const view = (member: Member): MemberView => {
    const { record, vitals } = member
    return {
      id: member.id,
      name: record.body.name,
      addresses: record.body.addresses,
      status: member.status,
      class: record.body.class,
      zone: record.body.zone,
      group: record.body.group,
      tags: record.body.tags,
      epoch: record.body.epoch,
      version: record.body.version,
      layers: vitals?.body.layers ?? [],
      health: vitals?.body.health ?? 'unknown',
      reason: vitals?.body.reason ?? '',
      taint: vitals?.body.taint ?? [],
      images: vitals?.body.images ?? [],
      rttMs: member.rtt ?? null,
      since: member.since,
    }
  }

  sayRecord(init.now)
  effects = []

  return {
    step(now, input) {
      effects = []
      stepNow = now
      handle(now, input)
      settle(now)
      askedToWake = nextWake(now)
      effects.push({ type: 'wakeAt', at: askedToWake })
      return effects
    },
    members: () => [...table.members.values()].map(view),
    member(node) {
      const member = table.members.get(node)
      return member === undefined ? undefined : view(member)
    },
    links: () => [...dialer.links()],
    news(item) {
      switch (item.kind) {
        case 'record': {
          const known = table.members.get(item.statement.body.node)?.record.body
          const { epoch: theirs, seq: version } = item.statement.body
          return known === undefined || theirs > known.epoch || (theirs === known.epoch && version > known.seq)
        }
        case 'vitals': {
          const member = table.members.get(item.statement.body.node)
          const known = member?.vitals?.body
          const { epoch: theirs, seq: version } = item.statement.body
          return (
            member !== undefined &&
            (known === undefined || theirs > known.epoch || (theirs === known.epoch && version > known.seq))
          )
        }
        case 'suspicion': {
          const member = table.members.get(item.statement.body.subject)
          return (
            member !== undefined &&
            member.record.body.epoch === item.statement.body.epoch &&
            member.record.body.seq === item.statement.body.seq &&
            !member.suspicions.has(item.observer)
          )
        }
        case 'document':
          return !table.documents.has(documentId(item.bytes))
        default:
          return item satisfies never
      }
    },
    knows: node => table.members.has(node) && !revoked.has(node),
    stats() {
      let alive = 0
      let failed = 0
      let left = 0
      for (const member of table.members.values()) {
        if (member.status === 'alive' || member.status === 'suspect') alive += 1
        else if (member.status === 'failed') failed += 1
        else if (member.status === 'left') left += 1
      }
      return { healthScore: awareness.score, alive, failed, left, documents: table.documents.size }
    },
    invariants() {
      const broken: string[] = []
      for (const member of table.members.values()) {
        if (revoked.has(member.id)) broken.push(`${member.id} was revoked and is a member`)
        if (overlay.has(member.id) !== steady(member))
          broken.push(`${member.id} is ${member.status} and ${overlay.has(member.id) ? 'on' : 'not on'} the rings`)
        if (member.status === 'suspect' && member.suspicions.size === 0)
          broken.push(`${member.id} is suspect with nobody suspecting it`)
        if (member.record.body.class === 'intermittent' && member.status === 'failed')
          broken.push(`${member.id} is intermittent and failed`)
      }
      if (table.members.get(self)?.status !== (leaving ? 'left' : 'alive'))
        broken.push('this node does not see itself as it is')
      return broken
    },
  }
}
