import { type Millis, millis, type NodeId } from '../../protocol/index.ts'
import { type EventFrame, MAX_RANGES, type Range } from './frames.ts'

/** How long a neighbour may take over an answer before what it was asked for may be asked of others. Milliseconds. */
const PATIENCE = 2_000

type Want = Extract<EventFrame, { type: 'want' }>
interface Pull {
  /** What it is being asked for, and what it has not sent of that. */
  readonly active: Map<NodeId, readonly [from: number, to: number]>
  readonly queue: Map<NodeId, readonly [from: number, to: number]>
  until: Millis
  progress: boolean
}

/** Asks for each author's events from one neighbour at a time, and each neighbour for a little at a time. */
export interface Pulls {
  /** Adds what nobody is asked for yet; gives the want to send, unless this peer is busy with another or nothing is left. */
  ask(now: Millis, peer: NodeId, ranges: readonly Range[]): Want | undefined
  /** An item came; false when the peer was not asked for it. */
  took(peer: NodeId, node: NodeId, seq: number): boolean
  /** The answer is complete; `more`: it is not all. Gives the next want; undefined when the peer has nothing left to send. */
  answered(now: Millis, peer: NodeId, more: boolean): Want | undefined
  /** True when it still owed something. */
  drop(peer: NodeId): boolean
  /** Drops those that took too long; true when there were any. */
  expire(now: Millis): boolean
  busy(peer: NodeId): boolean
  nextAt(): number
}

export function createPulls(): Pulls {
  const pulls = new Map<NodeId, Pull>()

  const isAsked = (node: NodeId): boolean => {
    for (const { active, queue } of pulls.values()) if (active.has(node) || queue.has(node)) return true
    return false
  }
  const next = (now: Millis, peer: NodeId, pull: Pull): Want | undefined => {
    for (const [node, range] of pull.queue) {
      if (pull.active.size >= MAX_RANGES) break
      pull.queue.delete(node)
      pull.active.set(node, range)
    }
    if (pull.active.size === 0) {
      pulls.delete(peer)
      return undefined
    }
    pull.until = millis(now + PATIENCE)
    pull.progress = false
    return { type: 'want', ranges: [...pull.active].map(([node, [from, to]]) => [node, from, to] as const) }
  }

  return {
    ask(now, peer, ranges) {
      const running = pulls.get(peer)
      const pull = running ?? { active: new Map(), queue: new Map(), until: now, progress: false }
      for (const [node, from, to] of ranges) if (from <= to && !isAsked(node)) pull.queue.set(node, [from, to])
      if (running !== undefined) return undefined
      pulls.set(peer, pull)
      return next(now, peer, pull)
    },
    took(peer, node, seq) {
      const pull = pulls.get(peer)
      const range = pull?.active.get(node)
      if (pull === undefined || range === undefined || seq < range[0] || seq > range[1]) return false
      pull.progress = true
      if (seq === range[1]) pull.active.delete(node)
      else pull.active.set(node, [seq + 1, range[1]])
      return true
    },
    answered(now, peer, more) {
      const pull = pulls.get(peer)
      if (pull === undefined) return undefined
      // Who says that there is more and sends nothing is not asked again.
      if (!more || !pull.progress) pull.active.clear()
      return next(now, peer, pull)
    },
    drop: peer => pulls.delete(peer),
    expire(now) {
      const before = pulls.size
      for (const [peer, { until }] of pulls) if (now >= until) pulls.delete(peer)
      return pulls.size < before
    },
    busy: peer => pulls.has(peer),
    nextAt() {
      let at = Number.POSITIVE_INFINITY
      for (const { until } of pulls.values()) at = Math.min(at, until)
      return at
    },
  }
}
