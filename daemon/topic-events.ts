import * as z from 'zod'
import { decode, encode, LIMITS } from '../protocol/index.ts'
import type { Verdict } from './network/index.ts'

/** What travels on the topic `events`: a signed statement with its kind in front. */
export type EventsKind = 'event' | 'query' | 'answer' | 'push' | 'audit'
export type EventsTakers = { readonly [K in EventsKind]?: ((statement: Uint8Array) => Verdict) | undefined }

const schema = z.tuple([
  z.enum(['event', 'query', 'answer', 'push', 'audit']),
  z.custom<Uint8Array>(value => value instanceof Uint8Array),
])

export const encodeEvents = (kind: EventsKind, statement: Uint8Array): Uint8Array => encode([kind, statement])

/** Gives a gossiped message to whom it is for. What is no message of this topic costs its sender; a kind that nobody takes here yet does not. */
export function dispatchEvents(message: Uint8Array, takers: EventsTakers): Verdict {
  let kind: EventsKind
  let statement: Uint8Array
  try {
    ;[kind, statement] = schema.parse(decode(message, LIMITS.gossip))
  } catch {
    return 'reject'
  }
  return takers[kind]?.(statement) ?? 'ignore'
}
