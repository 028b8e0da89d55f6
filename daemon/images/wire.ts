import { type Digest, decode, encode, FleetError, LIMITS } from '../../protocol/index.ts'
import { PACKINGS, type Packing } from './packing.ts'

/** Network services of the swarm: one request for what an image is, one channel for its chunks. */
export const SERVICE = { describe: 'image', chunks: 'chunks' } as const

/** What a downloader and whoever serves it say on a chunk channel. The downloader opens it and says `open` first; the other answers with `has`. */
export type Message =
  /** `accepts`: how chunks may come packed, and whether they may come in parts. One that says nothing of it, or nothing that this version knows, gets them plain and whole. */
  | { readonly type: 'open'; readonly image: Digest; readonly accepts: readonly (Packing | 'parts')[] }
  /** All that the sender has, as a bitmap. Empty: it does not know the image. */
  | { readonly type: 'bitmap'; readonly has: Uint8Array }
  | { readonly type: 'has'; readonly indexes: readonly number[] }
  | { readonly type: 'request'; readonly indexes: readonly number[] }
  | { readonly type: 'cancel'; readonly indexes: readonly number[] }
  | { readonly type: 'chunk'; readonly index: number; readonly bytes: Uint8Array }
  /** A chunk that is smaller so. Only to who accepts this packing. */
  | { readonly type: 'packed'; readonly index: number; readonly packing: Packing; readonly bytes: Uint8Array }
  | { readonly type: 'refused'; readonly index: number }
  /** A piece of an encoded message that is longer than what may be sent at once; `last` ends it. Only to who accepts parts. */
  | { readonly type: 'part'; readonly last: boolean; readonly bytes: Uint8Array }
  /** From the downloader: from now on no more bytes in parts than it has given credit for, and here are so many more. null: as many as there are. */
  | { readonly type: 'credit'; readonly bytes: number | null }

/** What a node of this version takes. */
export const ACCEPTS: readonly (Packing | 'parts')[] = [...PACKINGS, 'parts']

/** Chunks that one message names at most. */
export const MAX_INDEXES = 65_536

const isIndexes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_INDEXES && value.every(index => Number.isInteger(index) && index >= 0)

const isDigest = (value: unknown): value is Digest => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const isPacking = (value: unknown): value is Packing => PACKINGS.includes(value as Packing)

/** What of a peer's ways to take chunks this version knows. */
const knownOf = (value: unknown): (Packing | 'parts')[] =>
  Array.isArray(value) ? ACCEPTS.filter(known => value.includes(known)) : []

export function encodeMessage(message: Message): Uint8Array {
  switch (message.type) {
    case 'open':
      return encode([message.type, message.image, [...message.accepts]])
    case 'bitmap':
      return encode([message.type, message.has])
    case 'has':
    case 'request':
    case 'cancel':
      return encode([message.type, message.indexes])
    case 'chunk':
      return encode([message.type, message.index, message.bytes])
    case 'packed':
      return encode([message.type, message.index, message.packing, message.bytes])
    case 'refused':
      return encode([message.type, message.index])
    case 'part':
      return encode([message.type, message.last, message.bytes])
    case 'credit':
      return encode([message.type, message.bytes])
    default:
      return message satisfies never
  }
}

/** The longest head of a chunk message: an array of three, "chunk", the index and the length of the bytes (msgpack spec, "Formats"). */
export const CHUNK_HEAD = 1 + 6 + 5 + 5

/** A chunk message around bytes that lie behind CHUNK_HEAD others in memory, which are overwritten: nothing is copied. */
export function encodeChunkBefore(index: number, bytes: Uint8Array): Uint8Array {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset - CHUNK_HEAD, CHUNK_HEAD + bytes.byteLength)
  frame.write('\x93\xa5chunk\xce', 'latin1')
  frame.writeUInt32BE(index, 8)
  frame[12] = 0xc6
  frame.writeUInt32BE(bytes.byteLength, 13)
  return frame
}

/** Throws `corrupt` or `too-large` on what is no message. */
export function decodeMessage(frame: Uint8Array): Message {
  const raw = decode(frame, LIMITS.channelFrame)
  if (Array.isArray(raw)) {
    const [type, first, second, third] = raw as unknown[]
    if (type === 'chunk' && Number.isInteger(first) && second instanceof Uint8Array)
      return { type, index: first as number, bytes: second }
    if (type === 'packed' && Number.isInteger(first) && isPacking(second) && third instanceof Uint8Array)
      return { type, index: first as number, packing: second, bytes: third }
    if ((type === 'has' || type === 'request' || type === 'cancel') && isIndexes(first)) return { type, indexes: first }
    if (type === 'bitmap' && first instanceof Uint8Array) return { type, has: first }
    if (type === 'part' && typeof first === 'boolean' && second instanceof Uint8Array)
      return { type, last: first, bytes: second }
    if (type === 'credit' && (first === null || (Number.isSafeInteger(first) && (first as number) >= 0)))
      return { type, bytes: first as number | null }
    if (type === 'refused' && Number.isInteger(first)) return { type, index: first as number }
    if (type === 'open' && isDigest(first)) return { type, image: first, accepts: knownOf(second) }
  }
  throw new FleetError('corrupt', 'not a message of the image swarm')
}

/** An index travels in parts that fit a response. Bytes. */
export const PART = LIMITS.rpcMessage - 128 * 1024

/** Asks what an image is: one part of its index, and what is signed of it. */
export interface Question {
  readonly image: Digest
  /** From 0; part i is the bytes of the index from i times PART. */
  readonly part: number
}

/** What is said of an image. Nothing of it is to be believed before it verifies. */
export interface Description {
  readonly manifest: Uint8Array
  readonly endorsement: Uint8Array
  readonly part: Uint8Array
}

export const encodeQuestion = ({ image, part }: Question): Uint8Array => encode([image, part])

/** Throws `corrupt` or `too-large` on what is no question. */
export function decodeQuestion(body: Uint8Array): Question {
  const raw = decode(body, 256)
  const [image, part] = Array.isArray(raw) ? (raw as unknown[]) : []
  if (!isDigest(image) || !Number.isSafeInteger(part) || (part as number) < 0)
    throw new FleetError('corrupt', 'not a question for an image')
  return { image, part: part as number }
}

export const encodeDescription = ({ manifest, endorsement, part }: Description): Uint8Array =>
  encode([manifest, endorsement, part])

/** Throws `corrupt` or `too-large` on what is no description. */
export function decodeDescription(body: Uint8Array): Description {
  const raw = decode(body, LIMITS.rpcMessage)
  const [manifest, endorsement, part] = Array.isArray(raw) ? (raw as unknown[]) : []
  const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array
  if (!isBytes(manifest) || !isBytes(endorsement) || !isBytes(part) || part.byteLength > PART)
    throw new FleetError('corrupt', 'not a description of an image')
  return { manifest, endorsement, part }
}
