import { z } from 'zod'
import { check, decode, encode, FleetError, LIMITS, type NodeId, objectionText } from '../../protocol/index.ts'

/** What a node has of one author's events: all up to `upTo` were delivered, and those from `from` on are still kept. */
export type Have = readonly [node: NodeId, upTo: number, from: number]
/** Events of one author, both ends included. */
export type Range = readonly [node: NodeId, from: number, to: number]

/** What neighbours say on their link about events. */
export type EventFrame =
  /** The digests of all buckets of authors. Answered with a vector, empty where they agree. */
  | { readonly type: 'digest'; readonly digests: readonly number[] }
  /** All that the sender has in these buckets, which differ. `last`: the end of the answer. Answered with what the sender lacks, as `ahead`. */
  | {
      readonly type: 'vector'
      readonly buckets: readonly number[]
      readonly entries: readonly Have[]
      readonly last: boolean
    }
  /** Where the sender has more than the other. */
  | { readonly type: 'ahead'; readonly entries: readonly Have[] }
  | { readonly type: 'want'; readonly ranges: readonly Range[] }
  /** In the order in which the sender delivered them. `last`: all of the want has come, as far as there is any; `more`: there is more of it. */
  | { readonly type: 'items'; readonly items: readonly Uint8Array[]; readonly last: boolean; readonly more: boolean }

export const BUCKETS = 16
/** Authors with which a frame is begun at most; the last bucket may add some. */
export const FULL_ENTRIES = 1_000
/** Authors in one frame at most: about 250 KiB. */
export const MAX_ENTRIES = 4_000
export const MAX_RANGES = 256
export const MAX_ITEMS = 512

/**
 * The first byte of every frame about events: the one that msgpack never uses (msgpack spec, "Formats"), so that no frame of the
 * membership machine, which shares the link, can begin with it.
 */
const CHANNEL = 0xc1

const counter = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const node = z
  .string()
  .max(64)
  .transform(text => text as NodeId)
const bucket = z
  .number()
  .int()
  .min(0)
  .max(BUCKETS - 1)
const triple = z.tuple([node, counter, counter])
const bytes = z.custom<Uint8Array>(
  value => value instanceof Uint8Array && value.byteLength <= LIMITS.event,
  'expected an event',
)

const SCHEMAS: { [T in EventFrame['type']]: z.ZodType<Extract<EventFrame, { type: T }>> } = {
  digest: z
    .tuple([z.literal('digest'), z.array(z.number().int().min(0).max(0xffff_ffff)).length(BUCKETS)])
    .transform(([type, digests]) => ({ type, digests })),
  vector: z
    .tuple([z.literal('vector'), z.array(bucket).max(BUCKETS), z.array(triple).max(MAX_ENTRIES), z.boolean()])
    .transform(([type, buckets, entries, last]) => ({ type, buckets, entries, last })),
  ahead: z
    .tuple([z.literal('ahead'), z.array(triple).max(MAX_ENTRIES)])
    .transform(([type, entries]) => ({ type, entries })),
  want: z.tuple([z.literal('want'), z.array(triple).max(MAX_RANGES)]).transform(([type, ranges]) => ({ type, ranges })),
  items: z
    .tuple([z.literal('items'), z.array(bytes).max(MAX_ITEMS), z.boolean(), z.boolean()])
    .transform(([type, items, last, more]) => ({ type, items, last, more })),
}

export const isEventFrame = (frame: Uint8Array): boolean => frame[0] === CHANNEL

export function encodeEventFrame(frame: EventFrame): Uint8Array {
  const body = encode(fieldsOf(frame))
  const bytes = new Uint8Array(1 + body.byteLength)
  bytes[0] = CHANNEL
  bytes.set(body, 1)
  return bytes
}

function fieldsOf(frame: EventFrame): readonly unknown[] {
  switch (frame.type) {
    case 'digest':
      return [frame.type, frame.digests]
    case 'vector':
      return [frame.type, frame.buckets, frame.entries, frame.last]
    case 'ahead':
      return [frame.type, frame.entries]
    case 'want':
      return [frame.type, frame.ranges]
    case 'items':
      return [frame.type, frame.items, frame.last, frame.more]
    default:
      return frame satisfies never
  }
}

/** Throws `corrupt` or `too-large` on anything but a frame about events: then the link is closed. */
export function decodeEventFrame(frame: Uint8Array): EventFrame {
  if (!isEventFrame(frame)) throw new FleetError('corrupt', 'not a frame about events')
  const raw = decode(frame.subarray(1), LIMITS.linkFrame)
  const type: unknown = Array.isArray(raw) ? raw[0] : undefined
  if (typeof type !== 'string' || !Object.hasOwn(SCHEMAS, type))
    throw new FleetError('corrupt', 'not a frame about events')
  const parsed = check<EventFrame>(SCHEMAS[type as EventFrame['type']], raw)
  if (!parsed.success)
    throw new FleetError('corrupt', `malformed ${type} frame about events: ${objectionText(parsed.objection)}`)
  return parsed.data
}
