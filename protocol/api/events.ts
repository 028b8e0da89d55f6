import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import { eventName } from '../statements/event.ts'
import { counter, nodeId, time } from '../statements/fields.ts'

/** Bytes in JSON that may be none: unpadded base64url. */
const payload = z
  .string()
  .max(Math.ceil((LIMITS.eventPayload * 4) / 3))
  .regex(/^[A-Za-z0-9_-]*$/, 'expected base64url')

export const fireSchema = z.strictObject({
  name: eventName,
  payload: payload.default('').transform(text => Uint8Array.from(Buffer.from(text, 'base64url'))),
  /** Consumers that coalesce may skip it when another of its name comes soon. */
  coalesce: z.boolean().default(false),
})
export const firedSchema = z.object({
  author: nodeId,
  /** Counts the author's events from 1; with the author, the event's identity everywhere. */
  seq: counter,
  ltime: counter,
  /** Where it stands among the events of this node: what `since` takes. */
  cursor: counter,
})
export type Fired = z.infer<typeof firedSchema>

export const eventsQuerySchema = z.strictObject({
  /** Only events behind this cursor. Absent: all that are kept. */
  since: z
    .string()
    .regex(/^\d{1,15}$/, 'expected a cursor')
    .transform(Number)
    .optional(),
  follow: z
    .enum(['true', 'false'])
    .default('false')
    .transform(text => text === 'true'),
})
export const eventViewSchema = firedSchema.extend({
  /** The author's name, or its id where it is no member any more. */
  authorName: z.string(),
  name: eventName,
  /** base64url. */
  payload,
  coalesce: z.boolean(),
  /** The author's wall clock when it was fired. */
  at: time,
})
export type EventView = z.infer<typeof eventViewSchema>
/** The same with the payload as bytes. */
export type EventRecord = Omit<EventView, 'payload'> & { readonly payload: Uint8Array }

/** The last cursor that was told; the one that was asked for when there was nothing behind it. */
export const eventsEndSchema = z.object({ cursor: counter })
