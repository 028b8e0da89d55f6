import { type FleetEvent, LIMITS, type Millis, type NodeId, type Statement } from '../../protocol/index.ts'
import type { Range } from './frames.ts'
import { createVector, type Vector } from './vector.ts'

/** How long an event waits for those before it, and for proof of them, until it is delivered without. Milliseconds. */
export const PATIENCE = 10_000

// What may wait at once. What comes beyond it is not kept: anti-entropy brings it again.
const MAX_WAITING = 4_096
const MAX_WAITING_BYTES = 16 * 1024 * 1024
const MAX_OF_AUTHOR = 1_024

type Event = Statement<FleetEvent>

/** What is remembered of the order across a restart. */
export interface OrderState {
  readonly floors: readonly (readonly [NodeId, number])[]
  readonly frontier: readonly (readonly [node: NodeId, seq: number, ltime: number])[]
  readonly clock: number
}

export interface OrderHooks {
  /** `told` false: it is from before this node's time. */
  deliver(event: Event, told: boolean): void
  /** These events of this author will never be delivered here. */
  lost(node: NodeId, from: number, to: number): void
  /** The event is delivered although this cause that it names, of which nothing proves that it exists, was to come first. */
  without(event: Event, cause: NodeId, seq: number): void
}

interface Waiting {
  readonly event: Event
  readonly since: Millis
  /** The neighbour that it came from. */
  readonly peer: NodeId
  asked: number
}

/**
 * Delivers events once each: of one author in the order of their seq, and each behind those that its `after` names (causal
 * order; Birman, Schiper, Stephenson, TOCS 1991, with named causes in place of whole vectors). `floor` is all that there is to
 * remember of an author: everything up to it was delivered or given up, so nothing comes twice or late.
 */
export interface Order {
  readonly vector: Vector
  /** Takes an event that was not known; false when it could not be kept. */
  take(now: Millis, event: Event, peer: NodeId): boolean
  known(event: FleetEvent): boolean
  /** An event of this node's own, which is before nothing and behind all that was delivered here. */
  fire(event: Event): void
  /** Takes one from before this node's time into account. */
  recall(event: Event): void
  next(): Pick<FleetEvent, 'seq' | 'ltime' | 'after'>
  /** Everything of this author up to `seq` is over. */
  skip(node: NodeId, seq: number): void
  /** Its events are not waited for any more. */
  expel(node: NodeId): void
  /** Delivers nothing while true. */
  hold(held: boolean): void
  /** What is waited for, and the neighbour to ask first; undefined when that one was asked already. */
  missing(): { range: Range; peer: NodeId | undefined }[]
  /** Gives up waiting where it has taken too long. */
  giveUp(now: Millis): void
  /** When the next wait will have taken too long; Infinity when nothing waits. */
  expiresAt(): number
  waiting(): number
  state(): OrderState
}

export function createOrder(self: NodeId, initial: OrderState, hooks: OrderHooks): Order {
  const vector = createVector(initial.floors)
  const frontier = new Map<NodeId, { seq: number; ltime: number }>(
    initial.frontier.map(([node, seq, ltime]) => [node, { seq, ltime }]),
  )
  let clock = initial.clock
  /** In the order of arrival. */
  const arrivals = new Set<Waiting>()
  const byAuthor = new Map<NodeId, Map<number, Waiting>>()
  /** Authors whose next event waits for one of the key's. */
  const blocked = new Map<NodeId, Set<NodeId>>()
  const expelled = new Set<NodeId>()
  let bytes = 0
  let held = false

  const remove = (waiting: Waiting): void => {
    const { node, seq } = waiting.event.body
    if (!arrivals.delete(waiting)) return
    bytes -= waiting.event.bytes.byteLength
    const own = byAuthor.get(node)!
    own.delete(seq)
    if (own.size === 0) byAuthor.delete(node)
  }
  /** Raises a floor; what waited below it is void. */
  const raise = (node: NodeId, seq: number): void => {
    if (!vector.raise(node, seq)) return
    for (const waiting of byAuthor.get(node)?.values() ?? []) if (waiting.event.body.seq <= seq) remove(waiting)
  }
  const deliver = (event: Event, told = true): void => {
    const { node, seq, ltime, after } = event.body
    raise(node, seq)
    clock = Math.max(clock, ltime)
    for (const [cause, at] of after)
      if ((frontier.get(cause)?.seq ?? Number.POSITIVE_INFINITY) <= at) frontier.delete(cause)
    frontier.delete(node)
    frontier.set(node, { seq, ltime })
    if (frontier.size > LIMITS.eventAfter) frontier.delete(leastOf(frontier))
    hooks.deliver(event, told)
  }
  const unmet = ({ body }: Event): (readonly [NodeId, number])[] =>
    body.after.filter(([node, seq]) => node !== body.node && !expelled.has(node) && vector.floor(node) < seq)

  /** Delivers what is ready, beginning with these authors' next events. */
  const settle = (nodes: readonly NodeId[]): void => {
    if (held) return
    const queue = [...nodes]
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      const wakened = blocked.get(node)
      if (wakened !== undefined) {
        blocked.delete(node)
        queue.push(...wakened)
      }
      const next = byAuthor.get(node)?.get(vector.floor(node) + 1)
      if (next === undefined) continue
      const [cause] = unmet(next.event)
      if (cause === undefined) {
        remove(next)
        deliver(next.event)
        queue.push(node)
        continue
      }
      const others = blocked.get(cause[0]) ?? new Set()
      blocked.set(cause[0], others.add(node))
    }
  }

  /** The event and all waiting ones that have to come before it. */
  const past = (first: Waiting): Waiting[] => {
    const found = new Set([first])
    for (const { event } of found) {
      const { node, seq } = event.body
      for (const [cause, at] of [[node, seq - 1] as const, ...unmet(event)])
        for (const waiting of byAuthor.get(cause)?.values() ?? []) if (waiting.event.body.seq <= at) found.add(waiting)
    }
    return [...found].sort((a, b) => compareEvents(a.event.body, b.event.body))
  }
  const force = ({ event }: Waiting): void => {
    const { node, seq } = event.body
    const floor = vector.floor(node)
    if (seq <= floor) return
    // Its own author's signature proves that there were events before it.
    if (seq > floor + 1) hooks.lost(node, floor + 1, seq - 1)
    for (const [cause, at] of unmet(event)) {
      // That another's event exists is a claim, until that other has signed one as late: a claim alone must silence nobody.
      const signed = Math.max(0, ...(byAuthor.get(cause)?.keys() ?? []))
      if (signed < at) {
        hooks.without(event, cause, at)
        continue
      }
      hooks.lost(cause, vector.floor(cause) + 1, at)
      raise(cause, at)
    }
    deliver(event)
  }

  return {
    vector,
    known: ({ node, seq }) => seq <= vector.floor(node) || byAuthor.get(node)?.has(seq) === true,
    take(now, event, peer) {
      const { node, seq } = event.body
      const own = byAuthor.get(node) ?? new Map<number, Waiting>()
      const size = event.bytes.byteLength
      if (arrivals.size >= MAX_WAITING || bytes + size > MAX_WAITING_BYTES || own.size >= MAX_OF_AUTHOR) return false
      const waiting = { event, since: now, peer, asked: 0 }
      arrivals.add(waiting)
      byAuthor.set(node, own.set(seq, waiting))
      bytes += size
      settle([node])
      return true
    },
    next: () => ({
      seq: vector.floor(self) + 1,
      ltime: Math.min(clock + 1, Number.MAX_SAFE_INTEGER),
      after: [...frontier].filter(([node]) => node !== self).map(([node, { seq }]) => [node, seq] as const),
    }),
    fire(event) {
      deliver(event)
      settle([self])
    },
    recall(event) {
      deliver(event, false)
      settle([event.body.node])
    },
    skip(node, seq) {
      raise(node, seq)
      settle([node])
    },
    expel(node) {
      expelled.add(node)
      frontier.delete(node)
      for (const waiting of [...(byAuthor.get(node)?.values() ?? [])]) remove(waiting)
      settle([node])
    },
    hold(next) {
      held = next
      settle([...byAuthor.keys()])
    },
    missing() {
      const ranges: { range: Range; peer: NodeId | undefined }[] = []
      if (held) return ranges
      for (const [node, own] of byAuthor) {
        const floor = vector.floor(node)
        const first = own.get(floor + 1) ?? own.get(Math.min(...own.keys()))!
        const peer = first.asked++ === 0 ? first.peer : undefined
        const { seq } = first.event.body
        if (seq > floor + 1) ranges.push({ range: [node, floor + 1, seq - 1], peer })
        for (const [cause, at] of unmet(first.event)) ranges.push({ range: [cause, vector.floor(cause) + 1, at], peer })
      }
      return ranges
    },
    giveUp(now) {
      if (held) return
      for (;;) {
        const [oldest] = arrivals
        if (oldest === undefined || now < oldest.since + PATIENCE) return
        for (const waiting of past(oldest)) force(waiting)
        remove(oldest)
        settle([...byAuthor.keys()])
      }
    },
    expiresAt() {
      const [oldest] = arrivals
      return held || oldest === undefined ? Number.POSITIVE_INFINITY : oldest.since + PATIENCE
    },
    waiting: () => arrivals.size,
    state: () => ({
      floors: [...vector.entries()],
      frontier: [...frontier].map(([node, { seq, ltime }]) => [node, seq, ltime] as const),
      clock,
    }),
  }
}

/** A line that all causes come before their effects in, where authors keep Lamport's rule. */
export function compareEvents(a: FleetEvent, b: FleetEvent): number {
  return a.ltime - b.ltime || (a.node < b.node ? -1 : a.node > b.node ? 1 : a.seq - b.seq)
}

function leastOf(frontier: ReadonlyMap<NodeId, { ltime: number }>): NodeId {
  let [least, lowest] = ['' as NodeId, Number.POSITIVE_INFINITY]
  for (const [node, { ltime }] of frontier) if (ltime < lowest) [least, lowest] = [node, ltime]
  return least
}
