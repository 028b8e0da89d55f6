import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { bytes, counter, digest, label, nodeId } from './fields.ts'

/** What a query is called. Names that begin with `_` are the fleet's own: they are acknowledged, and no handler hears of them. */
export const queryName = z
  .string()
  .min(1)
  .max(LIMITS.name)
  .regex(/^[^\p{Cc}]+$/u, 'expected a name without control characters')

/** By tag: a regular expression in RE2's syntax that the whole value has to match. Whoever evaluates one bounds what it may cost. */
export const tagPatterns = z
  .record(z.string().min(1).max(LIMITS.tagKey), z.string().max(LIMITS.tagPattern))
  .refine(
    patterns => Object.keys(patterns).length <= LIMITS.tagPatterns,
    `expected at most ${LIMITS.tagPatterns} patterns`,
  )

/** Whom a query is for: those that every filter lets through. An empty one lets everybody through. */
const filters = {
  nodes: z.array(nodeId).max(LIMITS.queryNodes),
  tags: tagPatterns,
  groups: z.array(label).max(LIMITS.queryLabels),
  zones: z.array(label).max(LIMITS.queryLabels),
}

/** How long a query may wait for its answers. Milliseconds. */
export const queryTimeout = z.number().int().min(1).max(LIMITS.queryTimeout)

/**
 * A question to many, by (node, epoch, seq): the same one is answered once, however often it comes by. Counts until `timeoutMs`
 * after it was heard, and is never answered later than LIMITS.clockSkew past that by the asker's clock.
 */
export const querySchema = z.object({
  node: nodeId,
  epoch: counter,
  seq: counter,
  /** Lamport time of queries. */
  ltime: counter,
  name: queryName,
  payload: bytes(LIMITS.queryPayload),
  ...filters,
  ack: z.boolean(),
  timeoutMs: queryTimeout,
})
export type Query = z.infer<typeof querySchema>
export const QUERY: StatementKind<Query> = {
  domain: 'fleetd/query/1',
  schema: querySchema,
  maxBytes: LIMITS.query,
}

/** `ack`: the query has come, and its filters let it through; without payload. `response`: what came of it. One of each from a node. */
export const answerSchema = z.object({
  node: nodeId,
  /** The id of the QUERY statement. */
  query: digest,
  type: z.enum(['ack', 'response']),
  payload: bytes(LIMITS.queryResponse),
})
export type Answer = z.infer<typeof answerSchema>
export const ANSWER: StatementKind<Answer> = {
  domain: 'fleetd/answer/1',
  schema: answerSchema,
  maxBytes: LIMITS.queryResponse + 1024,
}
