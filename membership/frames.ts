import * as z from 'zod'
import { type Digest, decode, encode, FleetError, LIMITS, type NodeId } from '../protocol/index.ts'

/** The kinds of statement that membership passes on. `document`: plans, revocations and policies, which it spreads and does not read. */
export type GossipKind = 'record' | 'vitals' | 'suspicion' | 'document'

/** What a member knows of another, as versions: compared to find out who lacks what. */
export interface Key {
  readonly node: NodeId
  readonly record: readonly [epoch: number, seq: number]
  readonly vitals: readonly [epoch: number, seq: number] | null
  /** Who suspects it at this version of its record. */
  readonly suspectedBy: readonly NodeId[]
}

/** What neighbours say on their link. */
export type Frame =
  | { readonly type: 'probe'; readonly serial: number }
  | { readonly type: 'ack'; readonly serial: number }
  /** Probe this node for me. */
  | { readonly type: 'relay'; readonly serial: number; readonly subject: NodeId }
  /** `alive` false: it did not answer me either. */
  | { readonly type: 'relayed'; readonly serial: number; readonly alive: boolean }
  /** The digests of all buckets: two 32-bit numbers each. */
  | { readonly type: 'digest'; readonly digests: readonly number[] }
  /** All that the sender has in these buckets. */
  | {
      readonly type: 'keys'
      readonly buckets: readonly number[]
      readonly members: readonly Key[]
      readonly documents: readonly Digest[]
    }
  | { readonly type: 'want'; readonly members: readonly NodeId[]; readonly documents: readonly Digest[] }
  | { readonly type: 'items'; readonly items: readonly (readonly [GossipKind, Uint8Array])[] }

export const BUCKETS = 64

const serial = z.number().int().nonnegative().max(0xffffffff)
const node = z
  .string()
  .max(64)
  .transform(text => text as NodeId)
const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform(text => text as Digest)
const version = z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()])
const kind = z.enum(['record', 'vitals', 'suspicion', 'document'])
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const key = z
  .tuple([node, version, version.nullable(), z.array(node).max(64)])
  .transform(([id, record, vitals, suspectedBy]): Key => ({ node: id, record, vitals, suspectedBy }))
const many = 20_000

const frameSchema: z.ZodType<Frame> = z.union([
  z.tuple([z.literal('probe'), serial]).transform(([type, n]) => ({ type, serial: n })),
  z.tuple([z.literal('ack'), serial]).transform(([type, n]) => ({ type, serial: n })),
  z.tuple([z.literal('relay'), serial, node]).transform(([type, n, subject]) => ({ type, serial: n, subject })),
  z.tuple([z.literal('relayed'), serial, z.boolean()]).transform(([type, n, alive]) => ({ type, serial: n, alive })),
  z
    .tuple([z.literal('digest'), z.array(z.number().int()).length(2 * BUCKETS)])
    .transform(([type, digests]) => ({ type, digests })),
  z
    .tuple([
      z.literal('keys'),
      z
        .array(
          z
            .number()
            .int()
            .min(0)
            .max(BUCKETS - 1),
        )
        .max(BUCKETS),
      z.array(key).max(many),
      z.array(digest).max(many),
    ])
    .transform(([type, buckets, members, documents]) => ({ type, buckets, members, documents })),
  z
    .tuple([z.literal('want'), z.array(node).max(many), z.array(digest).max(many)])
    .transform(([type, members, documents]) => ({ type, members, documents })),
  z
    .tuple([z.literal('items'), z.array(z.tuple([kind, bytes])).max(many)])
    .transform(([type, items]) => ({ type, items })),
])

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case 'probe':
    case 'ack':
      return encode([frame.type, frame.serial])
    case 'relay':
      return encode([frame.type, frame.serial, frame.subject])
    case 'relayed':
      return encode([frame.type, frame.serial, frame.alive])
    case 'digest':
      return encode([frame.type, frame.digests])
    case 'keys':
      return encode([
        frame.type,
        frame.buckets,
        frame.members.map(member => [member.node, member.record, member.vitals, member.suspectedBy]),
        frame.documents,
      ])
    case 'want':
      return encode([frame.type, frame.members, frame.documents])
    case 'items':
      return encode([frame.type, frame.items])
    default:
      return frame satisfies never
  }
}

/** Throws `corrupt` or `too-large` on anything but a frame: then the link is closed. */
export function decodeFrame(frame: Uint8Array): Frame {
  const raw = decode(frame, LIMITS.linkFrame)
  // The frames of every second do without the schema.
  if (
    Array.isArray(raw) &&
    raw.length === 2 &&
    (raw[0] === 'probe' || raw[0] === 'ack') &&
    Number.isInteger(raw[1]) &&
    raw[1] >= 0
  )
    return { type: raw[0], serial: raw[1] as number }
  const parsed = frameSchema.safeParse(raw)
  if (!parsed.success) throw new FleetError('corrupt', 'not a membership frame')
  return parsed.data
}

const gossipSchema = z.tuple([kind, bytes])

export const encodeGossip = (gossipKind: GossipKind, statement: Uint8Array): Uint8Array =>
  encode([gossipKind, statement])

/** Throws `corrupt` or `too-large`. */
export function decodeGossip(message: Uint8Array): readonly [GossipKind, Uint8Array] {
  const parsed = gossipSchema.safeParse(decode(message, LIMITS.gossip + 1024))
  if (!parsed.success) throw new FleetError('corrupt', 'not a membership message')
  return parsed.data
}
