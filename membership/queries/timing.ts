import type { Random } from '../../protocol/index.ts'

/** A decade of members adds so much. Milliseconds. */
const PER_DECADE = 3_000
/** Answers of members that are not connected to the asker are spread over so much for each member: each costs it a handshake, some milliseconds of its loop. Milliseconds. */
const PER_MEMBER = 2

/**
 * How long a query waits for its answers when nobody says: `3 s * ceil(log10(N + 1)) + 2 ms * N`. The first part is Serf's form
 * (a query has to get to everybody, in O(log N) hops, and a handler wants its time); the second is what spreading the answers takes.
 */
export const defaultTimeout = (members: number): number =>
  PER_DECADE * Math.max(1, Math.ceil(Math.log10(members + 1))) + PER_MEMBER * members

/** How long this node waits before it answers: nothing over a connection that is there, otherwise its place in the spread, within a quarter of the query's time. Milliseconds. */
export const answerDelay = (random: Random, members: number, linked: boolean, timeoutMs: number): number =>
  linked ? 0 : random.int(1 + Math.floor(Math.min(PER_MEMBER * members, timeoutMs / 4)))
