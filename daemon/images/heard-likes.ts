import { type Bucket, createBucket } from '../../membership/index.ts'
import { type Millis, makePatch, type NodeId } from '../../protocol/index.ts'
import { MAX_LIKES, type Message } from './wire.ts'

/** What may be kept for one peer on all its channels together. Bytes. */
const MOST = 256 * 1024
/** What a like takes beside its names. Bytes. */
const A_LIKE = 256
/** Bytes of chunks that patches are made of for one peer: cutting and hashing 80 kB takes 1.2 ms, and little has to be sent for that. */
const PATCHING = { perSecond: 2 * 1024 * 1024, burst: 16 * 1024 * 1024 } as const

type Like = Extract<Message, { type: 'like' }>

/** What peers have said that they have in the place of chunks, until these are sent. Of what is too much nothing is kept, and the chunk is sent whole. */
export interface HeardLikes {
  of(peer: NodeId): ChannelLikes
}

/** What was said on one channel. */
export interface ChannelLikes {
  hear(like: Like): void
  /** The chunk as what differs from what is there in its place; undefined where nothing was said of it, nothing is in common, or many patches were made for this peer just now. */
  patch(index: number, chunk: Uint8Array): Uint8Array | undefined
  forget(index: number): void
  close(): void
}

interface Peer {
  readonly bucket: Bucket
  channels: number
  held: number
}

export function createHeardLikes(now: () => Millis): HeardLikes {
  const peers = new Map<NodeId, Peer>()
  /** Who comes back does not find a full bucket for that. */
  const sweep = (): void => {
    for (const [id, { channels, bucket }] of peers)
      if (channels === 0 && bucket.readyAt(now(), PATCHING.burst) <= now()) peers.delete(id)
  }

  return {
    of(id) {
      sweep()
      const peer = peers.get(id) ?? {
        bucket: createBucket(PATCHING.perSecond, PATCHING.burst),
        ...{ channels: 0, held: 0 },
      }
      peers.set(id, peer)
      peer.channels += 1
      const likes = new Map<number, Pick<Like, 'salt' | 'names'>>()

      const take = (index: number): Pick<Like, 'salt' | 'names'> | undefined => {
        const like = likes.get(index)
        if (like === undefined) return undefined
        likes.delete(index)
        peer.held -= A_LIKE + like.names.byteLength
        return like
      }
      return {
        hear({ index, salt, names }) {
          take(index)
          const bytes = A_LIKE + names.byteLength
          if (likes.size >= MAX_LIKES || peer.held + bytes > MOST) return
          peer.held += bytes
          // Copies: what was decoded holds on to its whole frame.
          likes.set(index, { salt: Uint8Array.from(salt), names: Uint8Array.from(names) })
        },
        patch(index, chunk) {
          const like = take(index)
          if (like === undefined || !peer.bucket.take(now(), chunk.byteLength)) return undefined
          return makePatch(chunk, like.salt, like.names)
        },
        forget: index => void take(index),
        close() {
          for (const index of [...likes.keys()]) take(index)
          peer.channels -= 1
        },
      }
    },
  }
}
