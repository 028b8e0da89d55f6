import {
  EVENT,
  FleetError,
  type FleetEvent,
  type Millis,
  millis,
  type NodeId,
  type Statement,
} from '../../protocol/index.ts'
import { BUFFER, type Buffer, createBuffer, type Delivered, keptOf } from './buffer.ts'
import {
  BUCKETS,
  decodeEventFrame,
  type EventFrame,
  encodeEventFrame,
  FULL_ENTRIES,
  type Have,
  MAX_ENTRIES,
  MAX_ITEMS,
  type Range,
} from './frames.ts'
import { beginHistory, type History, inOrder, learn } from './history.ts'
import { createOrder } from './order.ts'
import { createPace, type Pace } from './pace.ts'
import { createPulls } from './pulls.ts'
import type { Effect, EventsInit, EventsState, Input, Worth } from './types.ts'
import { bucketOf } from './vector.ts'

// How soon what is missing is asked for. Gossip brings a burst in any order: what is only on its way is not to be asked for, and what
// was lost not to be waited for. Milliseconds.
const ASK_AFTER = 50
const ASK_EVERY = 1_000
/** One neighbour is compared with this often, whatever was heard; between half and one and a half of it. Milliseconds. */
const SYNC_EVERY = 10_000
/** How soon neighbours are told of what anti-entropy brought, and are asked for what came faster than it is passed on. Milliseconds. */
const EAGER = 200
/** Events that one answer holds at most, in bytes; a single larger one is sent alone. Verifying them holds the loop for some 20 ms. */
const ANSWER_BYTES = 128 * 1024

export interface EventsMachine {
  /** Takes one input at time `now`, which never goes back, and returns what is to be done, in order. */
  step(now: Millis, input: Input): Effect[]
  /** Whether a gossiped event is to be passed on and given to `step`, or, of one in excess, a `wake`. News counts against its author's pace. */
  worth(now: Millis, event: FleetEvent, peer: NodeId): Worth
  readonly buffer: Omit<Buffer, 'add'>
  /** What the next event that is fired here is numbered. */
  nextSeq(): number
  /** Lamport time: of the newest event that is known here. */
  ltime(): number
  state(): EventsState
  stats(): { readonly kept: number; readonly keptBytes: number; readonly waiting: number; readonly authors: number }
}

/**
 * User events as one machine without clock or socket (docs/events.md): delivers each once, in order, keeps the newest, and compares
 * with neighbours what they have, so that what gossip lost comes all the same.
 */
export function createEvents(init: EventsInit): EventsMachine {
  const { self, random } = init
  const buffer = createBuffer(init.bounds ?? BUFFER)
  for (const kept of init.kept) buffer.add(kept)
  const pulls = createPulls()
  const links = new Set<NodeId>()
  /** Neighbours that have not asked yet what there is, and the cursor at which their link came up. */
  const metAt = new Map<NodeId, number>()
  const revoked = new Set<NodeId>()
  const paces = new Map<NodeId, Pace>()
  let effects: Effect[] = []
  let { cursor, fresh } = init.state
  let history: History | undefined
  let askAt = Number.POSITIVE_INFINITY
  let syncAt = init.now + random.int(SYNC_EVERY)
  let armedAt: number | undefined
  /** Neighbours that are soon sent our digest. */
  let eager: { at: number; readonly peers: Set<NodeId> } | undefined

  const order = createOrder(self, init.state, {
    deliver(statement, told) {
      cursor += 1
      const event: Delivered = { cursor, statement, told }
      buffer.add(keptOf(event))
      effects.push({ type: 'deliver', event })
    },
    lost: (node, from, to) => effects.push({ type: 'lost', node, from, to }),
    without: ({ body: { node, seq } }, cause, at) => effects.push({ type: 'without', node, seq, cause, at }),
  })
  const { vector } = order
  order.hold(fresh)

  const send = (peer: NodeId, frame: EventFrame | undefined): void => {
    if (frame !== undefined) effects.push({ type: 'send', peer, frame: encodeEventFrame(frame) })
  }
  const sendDigest = (peer: NodeId): void => send(peer, { type: 'digest', digests: vector.digests() })
  const soon = (now: Millis, peers: Iterable<NodeId>): void => {
    eager ??= { at: now + EAGER, peers: new Set() }
    for (const peer of peers) eager.peers.add(peer)
  }
  const have = (node: NodeId, floor: number): Have => [node, floor, buffer.from(node, floor)]

  // ---- what is compared ----

  /**
   * A neighbour that is new to the fleet takes the first answer for what was before its time. Whoever fires an event at a fleet in
   * which the newcomer is already seen has heard of it through this link, so what came since the link is not part of that answer.
   */
  const floorsFor = (now: Millis, peer: NodeId): [NodeId, number][] => {
    const met = metAt.get(peer)
    metAt.delete(peer)
    const since = met === undefined ? new Map<NodeId, number>() : buffer.firstSince(met)
    if (since.size > 0) soon(now, [peer])
    return [...vector.entries()].map(([node, floor]) => [node, (since.get(node) ?? floor + 1) - 1])
  }
  const answerDigest = (now: Millis, peer: NodeId, digests: readonly number[]): void => {
    const ours = vector.digests()
    const byBucket: Have[][] = Array.from({ length: BUCKETS }, () => [])
    for (const [node, floor] of floorsFor(now, peer)) if (floor > 0) byBucket[bucketOf(node)]!.push(have(node, floor))
    let frame = { buckets: [] as number[], entries: [] as Have[] }
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (ours[bucket] === digests[bucket]) continue
      if (frame.entries.length >= FULL_ENTRIES) {
        send(peer, { type: 'vector', ...frame, last: false })
        frame = { buckets: [], entries: [] }
      }
      frame.buckets.push(bucket)
      frame.entries.push(...byBucket[bucket]!.slice(0, MAX_ENTRIES - FULL_ENTRIES))
    }
    send(peer, { type: 'vector', ...frame, last: true })
  }
  const lacking = (entries: readonly Have[]): Range[] =>
    entries
      .filter(([node, upTo]) => !revoked.has(node) && upTo > vector.floor(node))
      .map(([node, upTo, from]) => [node, Math.max(from, vector.floor(node) + 1), upTo] as const)
  const tellAhead = (peer: NodeId, buckets: readonly number[], theirs: readonly Have[]): void => {
    const known = new Map(theirs.map(([node, upTo]) => [node, upTo]))
    const entries: Have[] = []
    for (const [node, floor] of vector.entries())
      if (buckets.includes(bucketOf(node)) && floor > (known.get(node) ?? 0)) entries.push(have(node, floor))
    if (entries.length > 0) send(peer, { type: 'ahead', entries: entries.slice(0, MAX_ENTRIES) })
  }

  // ---- a node that is new to the fleet ----

  const studyHistory = (now: Millis, peer: NodeId, entries: readonly Have[], last: boolean): void => {
    history ??= beginHistory(now, peer)
    if (history.peer !== peer || history.complete) return
    const others = entries.filter(([node]) => node !== self && !revoked.has(node))
    learn(history, others, last)
    send(
      peer,
      pulls.ask(
        now,
        peer,
        others.map(([node, upTo, from]) => [node, from, upTo] as const),
      ),
    )
    if (history.complete && !pulls.busy(peer)) settle(now)
  }
  /** What is known of the time before is all there will be: from now on this node tells of what comes. */
  const settle = (now: Millis): void => {
    const known = history
    history = undefined
    fresh = false
    for (const event of known === undefined ? [] : inOrder(known)) order.recall(event)
    const floors = [...(known?.floors ?? [])]
    effects.push({ type: 'settled', floors })
    for (const [node, floor] of floors) order.skip(node, floor)
    order.hold(false)
    soon(now, links)
  }

  // ---- what comes ----

  const take = (now: Millis, event: Statement<FleetEvent>, peer: NodeId): void => {
    const { node, seq } = event.body
    if (revoked.has(node) || order.known(event.body)) return
    // Of a life that this directory, an old copy or a damaged one, does not remember: it must not be said again.
    if (node === self) return order.recall(event)
    if (history?.peer === peer && seq <= (history.floors.get(node) ?? 0)) return void history.events.push(event)
    order.take(now, event, peer)
    if (order.waiting() > 0) askAt = Math.min(askAt, now + ASK_AFTER)
  }
  const takeItems = (now: Millis, peer: NodeId, frame: Extract<EventFrame, { type: 'items' }>): void => {
    const before = cursor
    for (const bytes of frame.items) {
      const event = init.open(bytes)
      // Only what was asked for: gossip is the way for the rest, with its limits.
      if (event !== undefined && pulls.took(peer, event.body.node, event.body.seq)) take(now, event, peer)
    }
    if (frame.last) send(peer, pulls.answered(now, peer, frame.more))
    if (history?.peer === peer && history.complete && !pulls.busy(peer)) settle(now)
    if (cursor > before)
      soon(
        now,
        [...links].filter(link => link !== peer),
      )
  }
  const takeFrame = (now: Millis, peer: NodeId, frame: EventFrame): void => {
    switch (frame.type) {
      case 'digest':
        return answerDigest(now, peer, frame.digests)
      case 'vector':
        if (fresh) studyHistory(now, peer, frame.entries, frame.last)
        else send(peer, pulls.ask(now, peer, lacking(frame.entries)))
        return tellAhead(peer, frame.buckets, frame.entries)
      case 'ahead':
        if (!fresh) send(peer, pulls.ask(now, peer, lacking(frame.entries)))
        return
      case 'want': {
        const { items, more } = buffer.pick(frame.ranges, ANSWER_BYTES, MAX_ITEMS)
        return send(peer, { type: 'items', items, last: true, more })
      }
      case 'items':
        return takeItems(now, peer, frame)
      default:
        return frame satisfies never
    }
  }

  // ---- time ----

  const ask = (now: Millis): void => {
    const wanted = new Map<NodeId, Range[]>()
    const other = random.pick([...links])
    for (const { range, peer } of order.missing()) {
      const whom = peer !== undefined && links.has(peer) ? peer : other
      if (whom !== undefined) wanted.set(whom, [...(wanted.get(whom) ?? []), range])
    }
    for (const [peer, ranges] of wanted) send(peer, pulls.ask(now, peer, ranges))
    askAt = order.waiting() === 0 ? Number.POSITIVE_INFINITY : now + ASK_EVERY
  }
  const wake = (now: Millis): void => {
    // What one did not send in time is looked for at another.
    if (pulls.expire(now)) soon(now, random.shuffle([...links]).slice(0, 1))
    if (history !== undefined && (now >= history.until || (history.complete && !pulls.busy(history.peer)))) settle(now)
    order.giveUp(now)
    if (now >= askAt) ask(now)
    if (now >= syncAt) {
      syncAt = now + SYNC_EVERY / 2 + random.int(SYNC_EVERY)
      const peer = random.pick([...links])
      if (peer !== undefined) sendDigest(peer)
    }
    if (eager !== undefined && now >= eager.at) {
      const { peers } = eager
      eager = undefined
      for (const peer of peers) if (links.has(peer)) sendDigest(peer)
    }
  }
  const nextWake = (now: Millis): Millis =>
    millis(
      Math.max(
        now + 1,
        Math.min(
          askAt,
          syncAt,
          order.expiresAt(),
          pulls.nextAt(),
          eager?.at ?? Number.POSITIVE_INFINITY,
          history?.until ?? Number.POSITIVE_INFINITY,
        ),
      ),
    )

  const handle = (now: Millis, input: Input): void => {
    switch (input.type) {
      case 'wake':
        armedAt = undefined
        return
      case 'linkUp': {
        const known = links.has(input.peer)
        links.add(input.peer)
        if (known) return
        metAt.set(input.peer, cursor)
        sendDigest(input.peer)
        return
      }
      case 'linkDown':
        links.delete(input.peer)
        metAt.delete(input.peer)
        if (pulls.drop(input.peer)) soon(now, random.shuffle([...links]).slice(0, 1))
        if (history?.peer !== input.peer) return
        // What of it came is used; if it was too little to be, the next neighbour is asked.
        if (history.complete) settle(now)
        else history = undefined
        return
      case 'frame':
        if (revoked.has(input.peer)) return
        try {
          takeFrame(now, input.peer, decodeEventFrame(input.frame))
        } catch (error) {
          if (!(error instanceof FleetError)) throw error
          effects.push({ type: 'misbehaved', peer: input.peer, reason: error.message })
        }
        return
      case 'gossip':
        return take(now, input.event, input.peer)
      case 'fire':
        return order.fire(
          init.sign(EVENT, {
            node: self,
            ...order.next(),
            name: input.name,
            payload: input.payload,
            coalesce: input.coalesce,
          }),
        )
      case 'revoked':
        if (input.node === self) return
        revoked.add(input.node)
        paces.delete(input.node)
        return order.expel(input.node)
      default:
        return input satisfies never
    }
  }

  return {
    step(now, input) {
      effects = []
      handle(now, input)
      wake(now)
      const at = nextWake(now)
      if (at !== armedAt) {
        armedAt = at
        effects.push({ type: 'wakeAt', at })
      }
      return effects
    },
    worth(now, event, peer) {
      if (revoked.has(event.node) || order.known(event)) return 'known'
      const pace = paces.get(event.node) ?? createPace()
      paces.set(event.node, pace)
      if (pace.take(now, event.payload.byteLength)) return 'news'
      soon(now, [peer])
      return 'excess'
    },
    buffer,
    nextSeq: () => order.next().seq,
    ltime: () => order.next().ltime - 1,
    state: () => ({ ...order.state(), cursor, fresh }),
    stats: () => {
      const { count, bytes } = buffer.size()
      return { kept: count, keptBytes: bytes, waiting: order.waiting(), authors: order.state().floors.length }
    },
  }
}
