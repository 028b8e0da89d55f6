import type { Millis } from '../../protocol/index.ts'
import { createBucket } from '../bucket.ts'

// What one author may fire: at its own node it waits, at others what is beyond is not passed on by gossip and comes by
// anti-entropy, which each node asks for as fast as it can take it. So a storm costs its author first.

const EVENTS_PER_SECOND = 1_000
const EVENTS_AT_ONCE = 2_000
const BYTES_PER_SECOND = 8 * 1024 * 1024
const BYTES_AT_ONCE = 16 * 1024 * 1024

/** How fast one author's events are taken. */
export interface Pace {
  take(now: Millis, bytes: number): boolean
  readyAt(now: Millis, bytes: number): number
}

/** `share`: of the rates above; an author keeps below what others take of it, so that their clocks need not agree. */
export function createPace(share = 1): Pace {
  const events = createBucket(share * EVENTS_PER_SECOND, share * EVENTS_AT_ONCE)
  const bytes = createBucket(share * BYTES_PER_SECOND, share * BYTES_AT_ONCE)
  return {
    take: (now, size) => events.readyAt(now, 1) <= now && bytes.take(now, size) && events.take(now, 1),
    readyAt: (now, size) => Math.max(events.readyAt(now, 1), bytes.readyAt(now, size)),
  }
}
