import { z } from 'zod'
import {
  type Coordinate,
  check,
  type Digest,
  decode,
  encode,
  FleetError,
  LIMITS,
  type NodeId,
  objectionText,
  packCoordinate,
  packedCoordinate,
  unpackCoordinate,
} from '../protocol/index.ts'

/** The kinds of statement that membership passes on. `document`: plans, revocations and policies, which it spreads and does not read. */
export type GossipKind = 'record' | 'vitals' | 'suspicion' | 'dismissal' | 'document'

/** Orders versions in keys: epoch, whether it left, seq, and the first 32 bits of the statement's id, which tell two of one version apart. */
export type Rank = readonly [epoch: number, left: 0 | 1, seq: number, id: number]

/** What a member knows of another, as versions: compared to find out who lacks what. */
export interface Key {
  readonly node: NodeId
  readonly record: Rank
  readonly vitals: Rank | null
  /** What others say of it, suspicions and dismissals: the first 32 bits of their ids. */
  readonly claims: readonly number[]
}

/** What neighbours say on their link. */
export type Frame =
  /** A sign of life, which spares its receiver a probe. */
  | { readonly type: 'beat' }
  | { readonly type: 'probe'; readonly serial: number }
  /** `coordinate`: where the answerer stands, so that the round trip that this ends can be learned from. 46 bytes. */
  | { readonly type: 'ack'; readonly serial: number; readonly coordinate: Coordinate }
  /** Probe this node for me. */
  | { readonly type: 'relay'; readonly serial: number; readonly subject: NodeId }
  /** `alive` false: it did not answer me either. */
  | { readonly type: 'relayed'; readonly serial: number; readonly alive: boolean }
  /** The digests of all buckets: two 32-bit numbers each. Answered with keys, or by nothing when they agree. */
  | { readonly type: 'digest'; readonly digests: readonly number[] }
  /** All that the sender has in these buckets. Answered with what it lacks, and a want for what it has more. */
  | {
      readonly type: 'keys'
      readonly buckets: readonly number[]
      readonly members: readonly Key[]
      readonly documents: readonly Digest[]
    }
  /** What the sender has and the other, by its keys, lacks. Answered with a want. */
  | { readonly type: 'offer'; readonly members: readonly Key[]; readonly documents: readonly Digest[] }
  | { readonly type: 'want'; readonly members: readonly NodeId[]; readonly documents: readonly Digest[] }
  /** `last`: all that was wanted has come, as far as there is any. */
  | { readonly type: 'items'; readonly items: readonly Item[]; readonly last: boolean }
export type Item = readonly [kind: GossipKind, bytes: Uint8Array]

export const BUCKETS = 64
/** Keys in one frame at most: those of a bucket of a full table fit twice. */
export const MAX_KEYS = 2_048
/** What one want names at most, which bounds what is sent at once. */
export const MAX_WANTED = 128
const MAX_ITEMS = 2_048
/** The most suspicions and dismissals that a table keeps of one member. */
const MAX_CLAIMS = 64 + 4

const serial = z.number().int().min(0).max(0xffff_ffff)
const node = z
  .string()
  .max(64)
  .transform(text => text as NodeId)
const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform(text => text as Digest)
// Checked in one go, and not element by element with a schema each: a frame of keys can hold a hundred thousand numbers, and
// digests are most of what is decoded where nothing differs.
const within = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max
const words = (max: number) =>
  z.custom<number[]>(
    value => Array.isArray(value) && value.length <= max && value.every(each => within(each, 0, 0xffff_ffff)),
    `expected at most ${max} numbers of 32 bits`,
  )
const sums = z.custom<number[]>(
  value =>
    Array.isArray(value) &&
    value.length === 2 * BUCKETS &&
    value.every(each => within(each, -0x8000_0000, 0x7fff_ffff)),
  `expected ${2 * BUCKETS} signed numbers of 32 bits`,
)
const rank = z.custom<Rank>(
  value =>
    Array.isArray(value) &&
    value.length === 4 &&
    within(value[0], 0, Number.MAX_SAFE_INTEGER) &&
    within(value[1], 0, 1) &&
    within(value[2], 0, Number.MAX_SAFE_INTEGER) &&
    within(value[3], 0, 0xffff_ffff),
  'expected a rank: epoch, 0 or 1, seq, and a number of 32 bits',
)
const kind = z.enum(['record', 'vitals', 'suspicion', 'dismissal', 'document'])
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array, 'expected bytes')
const item = z.tuple([kind, bytes])
const members = z
  .array(
    z
      .tuple([node, rank, rank.nullable(), words(MAX_CLAIMS)])
      .transform(([id, record, vitals, claims]): Key => ({ node: id, record, vitals, claims })),
  )
  .max(MAX_KEYS)
const documents = z.array(digest).max(MAX_KEYS)
const bucket = z
  .number()
  .int()
  .min(0)
  .max(BUCKETS - 1)

// Keyed by the first element of the frame.
const SCHEMAS: { readonly [K in Frame['type']]: z.ZodType<Extract<Frame, { type: K }>> } = {
  beat: z.tuple([z.literal('beat')]).transform(([type]) => ({ type })),
  probe: z.tuple([z.literal('probe'), serial]).transform(([type, n]) => ({ type, serial: n })),
  ack: z
    .tuple([z.literal('ack'), serial, packedCoordinate])
    .transform(([type, n, packed]) => ({ type, serial: n, coordinate: unpackCoordinate(packed)! })),
  relay: z.tuple([z.literal('relay'), serial, node]).transform(([type, n, subject]) => ({ type, serial: n, subject })),
  relayed: z
    .tuple([z.literal('relayed'), serial, z.boolean()])
    .transform(([type, n, alive]) => ({ type, serial: n, alive })),
  digest: z.tuple([z.literal('digest'), sums]).transform(([type, digests]) => ({ type, digests })),
  keys: z
    .tuple([z.literal('keys'), z.array(bucket).max(BUCKETS), members, documents])
    .transform(([type, buckets, keys, ids]) => ({ type, buckets, members: keys, documents: ids })),
  offer: z
    .tuple([z.literal('offer'), members, documents])
    .transform(([type, keys, ids]) => ({ type, members: keys, documents: ids })),
  want: z
    .tuple([z.literal('want'), z.array(node).max(MAX_WANTED), z.array(digest).max(MAX_WANTED)])
    .transform(([type, nodes, ids]) => ({ type, members: nodes, documents: ids })),
  items: z
    .tuple([z.literal('items'), z.array(item).max(MAX_ITEMS), z.boolean()])
    .transform(([type, items, last]) => ({ type, items, last })),
}

const keysOf = (keys: readonly Key[]): unknown[] => keys.map(key => [key.node, key.record, key.vitals, key.claims])

/** Nearly all that a quiet fleet says. */
const BEAT = encode(['beat'])
const isBeat = (frame: Uint8Array): boolean =>
  frame.byteLength === BEAT.byteLength && BEAT.every((byte, index) => byte === frame[index])

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case 'beat':
      return BEAT
    case 'probe':
      return encode([frame.type, frame.serial])
    case 'ack':
      return encode([frame.type, frame.serial, packCoordinate(frame.coordinate)])
    case 'relay':
      return encode([frame.type, frame.serial, frame.subject])
    case 'relayed':
      return encode([frame.type, frame.serial, frame.alive])
    case 'digest':
      return encode([frame.type, frame.digests])
    case 'keys':
      return encode([frame.type, frame.buckets, keysOf(frame.members), frame.documents])
    case 'offer':
      return encode([frame.type, keysOf(frame.members), frame.documents])
    case 'want':
      return encode([frame.type, frame.members, frame.documents])
    case 'items':
      return encode([frame.type, frame.items, frame.last])
    default:
      return frame satisfies never
  }
}

/** Throws `corrupt` or `too-large` on anything but a frame: then the link is closed. */
export function decodeFrame(frame: Uint8Array): Frame {
  if (isBeat(frame)) return { type: 'beat' }
  const raw = decode(frame, LIMITS.linkFrame)
  const type: unknown = Array.isArray(raw) ? raw[0] : undefined
  if (typeof type !== 'string' || !Object.hasOwn(SCHEMAS, type))
    throw new FleetError('corrupt', 'not a membership frame')
  const parsed = check<Frame>(SCHEMAS[type as Frame['type']], raw)
  if (!parsed.success) throw new FleetError('corrupt', `malformed ${type} frame: ${objectionText(parsed.objection)}`)
  return parsed.data
}

export const encodeGossip = (gossipKind: GossipKind, statement: Uint8Array): Uint8Array =>
  encode([gossipKind, statement])

/** Throws `corrupt` or `too-large`. */
export function decodeGossip(message: Uint8Array): Item {
  const parsed = check(item, decode(message, LIMITS.gossip + 1024))
  if (!parsed.success) throw new FleetError('corrupt', 'not a membership message')
  return parsed.data
}
