import type { Logger } from 'pino'
import {
  type Digest,
  FleetError,
  type Millis,
  millis,
  type NodeId,
  type Random,
  toFleetError,
} from '../../protocol/index.ts'
import {
  createSwarm,
  type ImageStore,
  type StoredImage,
  type SwarmEffect,
  type SwarmInput,
  verifyChunk,
} from '../../rollout/index.ts'
import type { Channel, Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import { createLikes } from './likes.ts'
import type { Pacer } from './pacer.ts'
import { unpack } from './packing.ts'
import { type Creditor, createCreditor, createPartReader } from './parts.ts'
import type { Throttle } from './throttle.ts'
import type { Traffic } from './traffic.ts'
import { ACCEPTS, decodeMessage, encodeMessage, MAX_LIKES, type Message, SERVICE } from './wire.ts'

type ChunkMessage = Extract<Message, { type: 'chunk' | 'packed' | 'patch' }>

/** Peers that one download asks at a time. */
const MAX_PEERS = 20
/** What may be on its way to the disk before peers are read no further: with more, buffers grow old and cost more than is won (docs/decisions/0042). Bytes. */
const MAX_STORING = 2 * 1024 * 1024
/** What a chunk counts there at least, for what it takes beside its bytes. */
const A_CHUNK = 64 * 1024
/** Wrong patches after which a peer is told no more of what is here. Some may be this node's own: what they were made for is gone. */
const MAX_WRONG = 3
/** How often new providers are looked for, and lost ones tried again. Milliseconds. */
const LOOK_EVERY = 500
/** Peers that are connected to at a time while the link may be a slow one: each handshake takes some kilobytes of it, and probes wait behind them. */
const SHY = 2
/** How long a peer may take to be reached; twice as long after each time that it was too short, for a slow link takes longer. Milliseconds. */
const CONNECT_TIMEOUT = 5_000
const LONGEST_CONNECT = 40_000

export interface DownloadInit {
  readonly image: StoredImage
  readonly store: ImageStore
  readonly network: Network
  readonly traffic: Traffic
  readonly throttle: Throttle
  readonly pacer: Pacer
  readonly providers: (image: Digest) => readonly NodeId[]
  /** Whether a peer is in this node's zone. */
  readonly isNear: (peer: NodeId) => boolean
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
  /** Which chunks are to be brought in; all of them where it is left out. */
  readonly wanted?: (index: number) => boolean
  /** A chunk is verified and on disk: others may have it. */
  stored(index: number): void
  progressed(progress: { done: number; total: number; peers: number }): void
}

/** Brings in what is missing of an image, or what is wanted of that. Resolves when all of it is verified and on disk; goes on for as long as it takes. Rejects on `no-space` and when it is cancelled. */
export function download(init: DownloadInit, signal: AbortSignal): Promise<void> {
  const { image, store, network, traffic, log, wanted = () => true } = init
  const { digest, index } = image
  const swarm = createSwarm({
    self: network.self,
    chunks: index,
    have: at => !wanted(at) || store.has(index[at]!.digest),
    random: init.random,
    isNear: init.isNear,
  })
  const channels = new Map<NodeId, Channel>()
  const creditors = new Map<NodeId, Creditor>()
  /** What of each channel's bytes the swarm has been told of. */
  const told = new WeakMap<Channel, number>()
  const likes = createLikes(image, store)
  /** Of channels that understand it: which chunks they were told of what is here in their place. */
  const liked = new WeakMap<Channel, Set<number>>()
  /** Patches that did not make their chunk, by who sent them. */
  const wrong = new Map<NodeId, number>()
  /** What is still to be said on a channel before anything else. */
  const saying = new WeakMap<Channel, Promise<void>>()
  const connecting = new Set<NodeId>()
  /** Who was not reached in time: how long it may take the next time, and until when it is left alone. */
  const late = new Map<NodeId, { readonly patience: number; readonly until: Millis }>()
  const banned = new Set<NodeId>()
  const storing = createRoom(MAX_STORING)
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])

  return new Promise((resolve, reject) => {
    let wakeTimer: NodeJS.Timeout | undefined
    let lookTimer: NodeJS.Timeout | undefined
    const end = (error?: FleetError): void => {
      if (over.signal.aborted) return
      over.abort()
      clearTimeout(wakeTimer)
      clearInterval(lookTimer)
      signal.removeEventListener('abort', cancelled)
      for (const channel of channels.values()) channel.close()
      for (const creditor of creditors.values()) creditor.close()
      init.pacer.heard(channels, 0, false)
      if (error === undefined) resolve()
      else reject(error)
    }
    const cancelled = (): void =>
      end(
        new FleetError(
          'timeout',
          `fetching ${image.manifest.name}:${image.manifest.version} was cancelled; what has arrived is kept`,
        ),
      )

    const input = (next: SwarmInput): void => {
      if (over.signal.aborted) return
      let came = 0
      let busy = false
      for (const [peer, channel] of channels) {
        came += channel.receivedBytes - (told.get(channel) ?? 0)
        busy ||= swarm.asked(peer).bytes > 0
        // A slow link takes longer for a chunk than a peer may be silent.
        let heard = told.get(channel) !== channel.receivedBytes
        told.set(channel, channel.receivedBytes)
        if (next.type === 'wake') {
          const creditor = creditors.get(peer)
          creditor?.consider()
          // Who may not send is not slow: it is this node that has no room for it now.
          heard ||= creditor?.starves() === true
        }
        if (heard) for (const effect of swarm.step(init.now(), { type: 'heard', peer })) perform(effect)
      }
      init.pacer.heard(channels, came, busy)
      for (const effect of swarm.step(init.now(), next)) perform(effect)
      if (next.type === 'chunk' || next.type === 'refused') creditors.get(next.peer)?.consider()
    }
    const perform = (effect: SwarmEffect): void => {
      switch (effect.type) {
        case 'request':
        case 'cancel':
          say(effect)
          creditors.get(effect.peer)?.consider()
          return
        case 'ban':
          banned.add(effect.peer)
          traffic.at(digest, effect.peer).banned = effect.reason
          log.error(
            { peer: effect.peer, image: digest, reason: effect.reason },
            `peer ${effect.peer} is banned for image ${image.manifest.name}:${image.manifest.version}: ${effect.reason}`,
          )
          lose(effect.peer)
          return
        case 'drop':
          log.warn({ peer: effect.peer, image: digest }, `peer ${effect.peer} is given up: ${effect.reason}`)
          lose(effect.peer)
          return
        case 'wakeAt':
          clearTimeout(wakeTimer)
          wakeTimer = setTimeout(() => input({ type: 'wake' }), Math.max(0, effect.at - init.now()))
          return
        case 'done':
          return end()
        default:
          return effect satisfies never
      }
    }
    /** In the order in which it is to be said, though a request may have to be read for. */
    const say = ({ type, peer, indexes }: Extract<SwarmEffect, { type: 'request' | 'cancel' }>): void => {
      const channel = channels.get(peer)
      if (channel === undefined) return
      const before = saying.get(channel)
      const told = type === 'request' ? liked.get(channel) : undefined
      const send = async (): Promise<void> => {
        await channel.send(encodeMessage({ type, indexes }))
        if (type === 'cancel') for (const at of indexes) liked.get(channel)?.delete(at)
      }
      if (before === undefined && told === undefined) return void send().catch(() => lose(peer))
      const now = (before ?? Promise.resolve()).then(async () => {
        for (const at of told === undefined ? [] : indexes) {
          if (told!.size >= MAX_LIKES || (wrong.get(peer) ?? 0) >= MAX_WRONG) break
          const like = await likes.like(at)
          if (like === undefined) continue
          told!.add(at)
          await channel.send(encodeMessage(like))
        }
        await send()
      })
      saying.set(
        channel,
        now.catch(() => lose(peer)),
      )
    }
    const lose = (peer: NodeId): void => {
      const channel = channels.get(peer)
      if (channel === undefined) return
      channels.delete(peer)
      creditors.get(peer)?.close()
      creditors.delete(peer)
      channel.close()
      input({ type: 'gone', peer })
    }

    const plainOf = async (message: ChunkMessage): Promise<Uint8Array | undefined> => {
      const ref = index[message.index]
      if (ref === undefined) return undefined
      if (message.type === 'patch') return likes.patched(message)
      return message.type === 'chunk' ? message.bytes : unpack(message.bytes, ref.length)
    }
    /** What is here may have gone meanwhile, which is no fault of the peer's: it is asked once more, without a like. */
    const mispatched = (peer: NodeId, channel: Channel, at: number): void => {
      const times = (wrong.get(peer) ?? 0) + 1
      wrong.set(peer, times)
      if (times === MAX_WRONG)
        log.warn(
          { peer, image: digest },
          `peer ${peer} has sent ${times} patches that do not make their chunks: it is asked for chunks whole`,
        )
      // Somebody else has brought it meanwhile.
      if (store.has(index[at]!.digest)) return input({ type: 'chunk', peer, index: at, good: true })
      // Not waited for: a peer that does not read would keep the room of what is on its way to the disk.
      channel.send(encodeMessage({ type: 'request', indexes: [at] })).catch(() => lose(peer))
    }
    const accept = async (peer: NodeId, channel: Channel, message: ChunkMessage): Promise<void> => {
      const { type, index: at, bytes } = message
      const told = liked.get(channel)?.delete(at) === true
      // It was cancelled, and is what the peer had begun to send.
      if (type === 'patch' && !told && index[at] !== undefined && store.has(index[at].digest)) return
      const plain = type === 'patch' && !told ? undefined : await plainOf(message)
      const chunk = plain === undefined ? undefined : verifyChunk(index[at]!.digest, plain)
      if (chunk === undefined && type === 'patch' && told) {
        traffic.at(digest, peer).received += bytes.byteLength
        return mispatched(peer, channel, at)
      }
      if (chunk === undefined) return input({ type: 'chunk', peer, index: at, good: false })
      traffic.at(digest, peer).received += bytes.byteLength
      if (type === 'patch') likes.paid(chunk.bytes.byteLength - bytes.byteLength)
      try {
        const news = !store.has(chunk.digest)
        await store.put(chunk)
        input({ type: 'chunk', peer, index: at, good: true })
        if (news) init.stored(at)
        init.progressed(swarm.progress())
      } catch (error) {
        end(toFleetError(error))
      }
    }

    const read = async (peer: NodeId, channel: Channel): Promise<void> => {
      const parts = createPartReader()
      const creditor = createCreditor({
        channel,
        throttle: init.throttle,
        pacer: init.pacer,
        asked: () => swarm.asked(peer),
        signal: either,
      })
      creditors.set(peer, creditor)
      try {
        await channel.send(encodeMessage({ type: 'open', image: digest, accepts: ACCEPTS }))
        creditor.consider()
        for await (const frame of channel.frames) {
          let message = decodeMessage(frame)
          if (message.type === 'part') {
            creditor.came(message.bytes.byteLength)
            const whole = parts.take(message)
            if (whole === undefined) continue
            message = whole
          }
          switch (message.type) {
            case 'bitmap':
              if (message.has.byteLength === 0 && index.length > 0) return
              if (message.patches) liked.set(channel, new Set())
              input({ type: 'peer', peer, has: message.has })
              break
            case 'has':
              input({ type: 'has', peer, indexes: message.indexes })
              break
            case 'chunk':
            case 'packed':
            case 'patch':
              // Not awaited: the next chunk is read while this one is unpacked, hashed and written.
              storing.enter(Math.max(A_CHUNK, message.bytes.byteLength), accept(peer, channel, message))
              if (storing.isFull()) await storing.hasRoom()
              break
            case 'refused':
              liked.get(channel)?.delete(message.index)
              input({ type: 'refused', peer, index: message.index })
              break
            default:
              return
          }
        }
      } catch (error) {
        log.debug({ peer, reason: toFleetError(error).message }, 'a download channel ended')
      } finally {
        if (channels.get(peer) === channel) lose(peer)
      }
    }

    const look = (): void => {
      const now = init.now()
      const candidates = init
        .providers(digest)
        .filter(peer => peer !== network.self && !channels.has(peer) && !connecting.has(peer) && !banned.has(peer))
        .filter(peer => (late.get(peer)?.until ?? 0) <= now)
      const [again, fresh] = [candidates.filter(peer => late.has(peer)), candidates.filter(peer => !late.has(peer))]
      // Where the link is the reason, several handshakes at once would each take it from the others.
      const retried = [...connecting].some(peer => late.has(peer)) ? [] : init.random.shuffle(again).slice(0, 1)
      const room = Math.min(
        MAX_PEERS - channels.size - connecting.size,
        init.pacer.free ? MAX_PEERS : SHY - connecting.size,
      )
      for (const peer of [...init.random.shuffle(fresh), ...retried].slice(0, Math.max(0, room))) void connect(peer)
    }
    const connect = async (peer: NodeId): Promise<void> => {
      const patience = late.get(peer)?.patience ?? CONNECT_TIMEOUT
      const limit = timeLimit(patience, either)
      connecting.add(peer)
      try {
        const channel = await network.openChannel(peer, SERVICE.chunks, { signal: limit })
        late.delete(peer)
        if (over.signal.aborted) return channel.close()
        channels.set(peer, channel)
        void read(peer, channel)
        connecting.delete(peer)
        look()
      } catch (error) {
        if (limit.aborted && !either.aborted)
          late.set(peer, {
            patience: Math.min(LONGEST_CONNECT, 2 * patience),
            until: millis(init.now() + patience),
          })
        log.debug({ peer, reason: (error as Error).message }, 'a provider cannot be reached')
      } finally {
        connecting.delete(peer)
      }
    }

    if (signal.aborted) return cancelled()
    signal.addEventListener('abort', cancelled, { once: true })
    input({ type: 'wake' })
    if (over.signal.aborted) return
    look()
    lookTimer = setInterval(look, LOOK_EVERY)
  })
}

/** Counts the bytes of what is going on. */
function createRoom(most: number): {
  enter(bytes: number, until: Promise<void>): void
  isFull(): boolean
  hasRoom(): Promise<void>
} {
  let inside = 0
  const waiting: (() => void)[] = []
  return {
    enter(bytes, until) {
      inside += bytes
      void until.finally(() => {
        inside -= bytes
        if (inside < most) for (const wake of waiting.splice(0)) wake()
      })
    },
    isFull: () => inside >= most,
    async hasRoom() {
      while (inside >= most) await new Promise<void>(resolve => waiting.push(resolve))
    },
  }
}
