import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { bytes, counter, nodeId } from './fields.ts'

/** What a user event is called: any text without control characters, which could not be put into an environment variable. */
export const eventName = z
  .string()
  .min(1)
  .max(LIMITS.eventName)
  .regex(/^[^\p{Cc}]+$/u, 'expected a name without control characters')

/** Counts the events of one author, from 1. */
const seq = counter.min(1)

/**
 * A user event: `(node, seq)` is its identity. Delivered everywhere behind the author's event before it and behind those of `after`,
 * which together are all that its author had delivered when it fired it; `ltime` (Lamport, CACM 1978) is above all of theirs.
 */
export const eventSchema = z.object({
  node: nodeId,
  seq,
  ltime: counter,
  name: eventName,
  payload: bytes(LIMITS.eventPayload),
  /** Consumers that coalesce may skip it when another of its name comes soon. */
  coalesce: z.boolean(),
  /** The newest events that its author had delivered and that no other of them is behind: what it may be an answer to. */
  after: z
    .array(z.tuple([nodeId, seq]))
    .max(LIMITS.eventAfter)
    .readonly(),
})
export type FleetEvent = z.infer<typeof eventSchema>
export const EVENT: StatementKind<FleetEvent> = {
  domain: 'fleetd/event/1',
  schema: eventSchema,
  maxBytes: LIMITS.event,
}
