import type { Millis } from '../../protocol/index.ts'
import type { IncomingQuery } from '../happenings.ts'
import { SERF_LIMITS } from './limits.ts'

/** The queries that a client was told of, under the numbers that it knows them by. */
export interface PendingQueries {
  add(query: IncomingQuery, now: Millis): number
  /** Undefined once nobody waits for the response any more. */
  find(id: number, now: Millis): IncomingQuery | undefined
}

export function createPendingQueries(): PendingQueries {
  let last = 0
  const queries = new Map<number, IncomingQuery>()
  return {
    add(query, now) {
      for (const [id, { deadline }] of queries) if (deadline <= now) queries.delete(id)
      const [oldest] = queries.keys()
      if (oldest !== undefined && queries.size >= SERF_LIMITS.pending) queries.delete(oldest)
      queries.set(++last, query)
      return last
    },
    find(id, now) {
      const query = queries.get(id)
      return query === undefined || query.deadline <= now ? undefined : query
    },
  }
}
