import { type Digest, decode, encode, FleetError, LIMITS } from '../../protocol/index.ts'

/** Network services of the swarm: one request for what an image is, one channel for its chunks. */
export const SERVICE = { describe: 'image', chunks: 'chunks' } as const

/** What a downloader and whoever serves it say on a chunk channel. The downloader opens it and says `open` first; the other answers with `has`. */
export type Message =
  | { readonly type: 'open'; readonly image: Digest }
  /** All that the sender has, as a bitmap. Empty: it does not know the image. */
  | { readonly type: 'bitmap'; readonly has: Uint8Array }
  | { readonly type: 'has'; readonly indexes: readonly number[] }
  | { readonly type: 'request'; readonly indexes: readonly number[] }
  | { readonly type: 'cancel'; readonly indexes: readonly number[] }
  | { readonly type: 'chunk'; readonly index: number; readonly bytes: Uint8Array }
  | { readonly type: 'refused'; readonly index: number }

const isIndexes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= 65_536 && value.every(index => Number.isInteger(index) && index >= 0)

export function encodeMessage(message: Message): Uint8Array {
  switch (message.type) {
    case 'open':
      return encode([message.type, message.image])
    case 'bitmap':
      return encode([message.type, message.has])
    case 'has':
    case 'request':
    case 'cancel':
      return encode([message.type, message.indexes])
    case 'chunk':
      return encode([message.type, message.index, message.bytes])
    case 'refused':
      return encode([message.type, message.index])
    default:
      return message satisfies never
  }
}

/** Throws `corrupt` or `too-large` on what is no message. */
export function decodeMessage(frame: Uint8Array): Message {
  const raw = decode(frame, LIMITS.channelFrame)
  if (Array.isArray(raw)) {
    const [type, first, second] = raw as [unknown, unknown, unknown]
    if (type === 'chunk' && Number.isInteger(first) && second instanceof Uint8Array)
      return { type, index: first as number, bytes: second }
    if ((type === 'has' || type === 'request' || type === 'cancel') && isIndexes(first)) return { type, indexes: first }
    if (type === 'bitmap' && first instanceof Uint8Array) return { type, has: first }
    if (type === 'refused' && Number.isInteger(first)) return { type, index: first as number }
    if (type === 'open' && typeof first === 'string' && /^[0-9a-f]{64}$/.test(first))
      return { type, image: first as Digest }
  }
  throw new FleetError('corrupt', 'not a message of the image swarm')
}
