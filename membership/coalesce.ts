import type { Millis } from '../protocol/index.ts'

/** How long news of one key is gathered before the last of it is handed on. Milliseconds. */
export interface CoalescePeriods {
  /** Handed on once nothing has come for so long. More: fewer runs of a handler, later. Serf's agent: 1 000. */
  readonly quiescent: number
  /** Handed on at the latest so long after the first, however much comes. Serf's agent: 3 000. */
  readonly period: number
}

/** Those of Serf's agent (command/agent/config.go, QuiescentPeriod and CoalescePeriod). */
export const COALESCE: CoalescePeriods = { quiescent: 1_000, period: 3_000 }

/** Keys that are gathered at most; one more makes all of them be handed on. */
const MAX_KEYS = 4_096

/**
 * Gathers items and hands on one for each key: the last, or what `merge` makes of the one before and it. What was handed
 * on is forgotten, so nothing is ever handed on twice. Items come out in the order in which the last of each key came.
 */
export interface Coalescer<T> {
  /** Takes an item at time `now`; gives what has to go at once, which is nothing unless too many keys are gathered. */
  add(now: Millis, item: T): T[]
  /** What is due at `now`, all or nothing. */
  due(now: Millis): T[]
  /** All that is gathered, due or not. */
  flush(): T[]
  /** When something becomes due; Infinity while nothing is gathered. */
  nextAt(): number
}

export function createCoalescer<T>(
  keyOf: (item: T) => string,
  { merge = (_before, next) => next, quiescent, period }: CoalescePeriods & { merge?: (before: T, next: T) => T },
): Coalescer<T> {
  let gathered = new Map<string, T>()
  let first = 0
  let last = 0

  const nextAt = (): number =>
    gathered.size === 0 ? Number.POSITIVE_INFINITY : Math.min(first + period, last + quiescent)
  const flush = (): T[] => {
    const items = [...gathered.values()]
    gathered = new Map()
    return items
  }

  return {
    add(now, item) {
      const key = keyOf(item)
      const before = gathered.get(key)
      const full = before === undefined && gathered.size >= MAX_KEYS ? flush() : []
      if (gathered.size === 0) first = now
      last = now
      // Put behind all others: the order is that of the last word on each key.
      gathered.delete(key)
      gathered.set(key, before === undefined ? item : merge(before, item))
      return full
    },
    due: now => (now >= nextAt() ? flush() : []),
    flush,
    nextAt,
  }
}

/**
 * One period's news of one member as one piece of news: the last, except that an `update` only brings the newer view. A
 * handler for joins is told of a member that joined and changed a tag at once; in Serf the update takes the join's place.
 */
export function lastOfMember<T extends { readonly event: string }>(before: T, next: T): T {
  return next.event === 'update' ? { ...next, event: before.event } : next
}
