import {
  CHUNK,
  type Digest,
  decode,
  encode,
  FleetError,
  LIMITS,
  PIECE,
  PIECE_NAME,
  SALT,
  SHORT_NAME,
} from '../../protocol/index.ts'
import { PACKINGS, type Packing } from './packing.ts'

/** Network services of the swarm: one request for what an image is, one channel for its chunks. */
export const SERVICE = { describe: 'image', chunks: 'chunks' } as const

/** What a downloader and whoever serves it say on a chunk channel. The downloader opens it and says `open` first; the other answers with `has`. */
export type Message =
  /** `accepts`: how chunks may come packed, and whether they may come in parts. One that says nothing of it, or nothing that this version knows, gets them plain and whole. */
  | { readonly type: 'open'; readonly image: Digest; readonly accepts: readonly (Packing | 'parts')[] }
  /** All that the sender has, as a bitmap. Empty: it does not know the image. `patches`: it understands `like`. */
  | { readonly type: 'bitmap'; readonly has: Uint8Array; readonly patches: boolean }
  | { readonly type: 'has'; readonly indexes: readonly number[] }
  | { readonly type: 'request'; readonly indexes: readonly number[] }
  | { readonly type: 'cancel'; readonly indexes: readonly number[] }
  | { readonly type: 'chunk'; readonly index: number; readonly bytes: Uint8Array }
  /** A chunk that is smaller so. Only to who accepts this packing. */
  | { readonly type: 'packed'; readonly index: number; readonly packing: Packing; readonly bytes: Uint8Array }
  /** Before a request: what the downloader has in the place of this chunk, as names of its pieces. To who understands it. */
  | { readonly type: 'like'; readonly index: number; readonly salt: Uint8Array; readonly names: Uint8Array }
  /** A chunk as what differs from what it is like. `length`: of the patch before it was packed, 0 where it was not. */
  | { readonly type: 'patch'; readonly index: number; readonly length: number; readonly bytes: Uint8Array }
  | { readonly type: 'refused'; readonly index: number }
  /** A piece of an encoded message that is longer than what may be sent at once; `last` ends it. Only to who accepts parts. */
  | { readonly type: 'part'; readonly last: boolean; readonly bytes: Uint8Array }
  /** From the downloader: from now on no more bytes in parts than it has given credit for, and here are so many more. null: as many as there are. */
  | { readonly type: 'credit'; readonly bytes: number | null }

/** What a node of this version takes. */
export const ACCEPTS: readonly (Packing | 'parts')[] = [...PACKINGS, 'parts']

/** Bytes of the names in one `like`: of pieces of twice the longest chunk. */
export const MAX_NAMES = ((2 * CHUNK.max) / PIECE.min + 2) * PIECE_NAME

/** Chunks of which one channel may have said what is in their place, and that did not come yet. */
export const MAX_LIKES = 256

/** Chunks that one message names at most. */
export const MAX_INDEXES = 65_536

const isIndexes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_INDEXES && value.every(index => Number.isInteger(index) && index >= 0)

const isDigest = (value: unknown): value is Digest => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

const isOf = (value: unknown, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.byteLength === length

const isNames = (value: unknown): value is Uint8Array =>
  value instanceof Uint8Array && value.byteLength <= MAX_NAMES && value.byteLength % PIECE_NAME === 0

/** No patch is longer than a frame. */
const isLength = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LIMITS.channelFrame

const isPacking = (value: unknown): value is Packing => PACKINGS.includes(value as Packing)

/** What of a peer's ways to take chunks this version knows. */
const knownOf = (value: unknown): (Packing | 'parts')[] =>
  Array.isArray(value) ? ACCEPTS.filter(known => value.includes(known)) : []

export function encodeMessage(message: Message): Uint8Array {
  switch (message.type) {
    case 'open':
      return encode([message.type, message.image, [...message.accepts]])
    case 'bitmap':
      return encode([message.type, message.has, message.patches])
    case 'like':
      return encode([message.type, message.index, message.salt, message.names])
    case 'patch':
      return encode([message.type, message.index, message.length, message.bytes])
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
    if (type === 'bitmap' && first instanceof Uint8Array) return { type, has: first, patches: second === true }
    if (type === 'like' && Number.isInteger(first) && isOf(second, SALT) && isNames(third))
      return { type, index: first as number, salt: second, names: third }
    if (type === 'patch' && Number.isInteger(first) && isLength(second) && third instanceof Uint8Array)
      return { type, index: first as number, length: second, bytes: third }
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

/** Chunks that a part of an index in short names. */
export const SHORT_PART = Math.floor(PART / SHORT_NAME)
/** Runs of chunks that one question asks for. */
export const MAX_RUNS = 512

/** Asks what an image is: one part of its index, and what is signed of it. */
export interface Question {
  readonly image: Digest
  /** From 0; part i is the bytes of the index from i times PART. With `short`, the names of the chunks from i times SHORT_PART. */
  readonly part: number
  /** Who understands it answers with the index in short; others do as if it were not there. */
  readonly short: boolean
  /** Of the index no part, but these runs of chunks, [first, how many], as far as PART reaches. Only to who answers in short. */
  readonly runs: readonly (readonly [first: number, count: number])[]
}

/** What is said of an image. Nothing of it is to be believed before it verifies. */
export interface Description {
  readonly manifest: Uint8Array
  readonly endorsement: Uint8Array
  readonly part: Uint8Array
  /** The part is of the index in short. */
  readonly short: boolean
}

export const encodeQuestion = ({ image, part, short, runs }: Question): Uint8Array =>
  encode(runs.length > 0 || short ? [image, part, short, runs.flat()] : [image, part])

/** Throws `corrupt` or `too-large` on what is no question. */
export function decodeQuestion(body: Uint8Array): Question {
  const raw = decode(body, 256 + 2 * 9 * MAX_RUNS)
  const [image, part, short, numbers = []] = Array.isArray(raw) ? (raw as unknown[]) : []
  if (
    !isDigest(image) ||
    !Number.isSafeInteger(part) ||
    (part as number) < 0 ||
    !isIndexes(numbers) ||
    numbers.length % 2 > 0 ||
    numbers.length > 2 * MAX_RUNS
  )
    throw new FleetError('corrupt', 'not a question for an image')
  const runs = Array.from({ length: numbers.length / 2 }, (_, at) => [numbers[2 * at]!, numbers[2 * at + 1]!] as const)
  return { image, part: part as number, short: short === true, runs }
}

export const encodeDescription = ({ manifest, endorsement, part, short }: Description): Uint8Array =>
  encode([manifest, endorsement, part, ...(short ? [true] : [])])

/** Throws `corrupt` or `too-large` on what is no description. */
export function decodeDescription(body: Uint8Array): Description {
  const raw = decode(body, LIMITS.rpcMessage)
  const [manifest, endorsement, part, short] = Array.isArray(raw) ? (raw as unknown[]) : []
  const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array
  if (!isBytes(manifest) || !isBytes(endorsement) || !isBytes(part) || part.byteLength > PART)
    throw new FleetError('corrupt', 'not a description of an image')
  return { manifest, endorsement, part, short: short === true }
}
