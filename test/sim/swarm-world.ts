import { type ChunkRef, type Digest, millis, type NodeId, seededRandom } from '../../protocol/index.ts'
import { createSwarm, type Swarm, type SwarmEffect, type SwarmInput } from '../../rollout/index.ts'

/*
 * One image from one seed to many receivers, in virtual time: the swarm machine of each, with links that carry `rate` each way.
 * A sender gives its peers a chunk by turns, as TCP shares a link; a chunk takes its time on the sender's link and on the receiver's,
 * both at once. Left out: headers, loss, and whatever a processor needs.
 */

export interface SwarmWorldInit {
  readonly seed: number
  readonly receivers: number
  readonly chunks: readonly ChunkRef[]
  /** Bytes per millisecond, each way. */
  readonly rate: number
  /** One way, milliseconds. */
  readonly latency: number
  /** New chunks are told of together this often, milliseconds: daemon/images/upload.ts. */
  readonly tellEvery: number
  /** The zone of a peer, by its number; the seed is 0. All are of one where it is left out. */
  readonly zoneOf?: (peer: number) => number
}

export interface SwarmResult {
  /** When each receiver had everything, milliseconds, the fastest first. */
  readonly finished: readonly number[]
  /** Bytes that the seed sent. */
  readonly uploaded: number
  /** Bytes that arrived at somebody who had them already. */
  readonly twice: number
  /** Bytes that came into each zone from others. */
  readonly crossed: ReadonlyMap<number, number>
}

interface Peer {
  readonly id: NodeId
  readonly swarm: Swarm | undefined
  readonly has: Uint8Array
  /** What each other one has asked for and not been given. */
  readonly waiting: Map<number, Set<number>>
  turn: number
  sending: boolean
  downFreeAt: number
  wakeAt: number
  news: number[]
  finishedAt: number | undefined
}

export function runSwarm(init: SwarmWorldInit): SwarmResult {
  const { chunks, rate, latency, zoneOf = () => 0 } = init
  const crossed = new Map<number, number>()
  const agenda = new Map<number, (() => void)[]>()
  const times: number[] = []
  let now = 0
  let uploaded = 0
  let twice = 0

  const at = (time: number, what: () => void): void => {
    const when = Math.max(time, now)
    const there = agenda.get(when)
    if (there !== undefined) return void there.push(what)
    agenda.set(when, [what])
    // A binary heap would be faster and longer; few hundred entries are in it.
    let low = 0
    let high = times.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (times[middle]! > when) low = middle + 1
      else high = middle
    }
    times.splice(low, 0, when)
  }

  const size = Math.ceil(chunks.length / 8)
  const peers = Array.from({ length: init.receivers + 1 }, (_, index): Peer => {
    const id = `12D3KooWsim${index}` as NodeId
    const has = new Uint8Array(size)
    if (index === 0) has.fill(0xff)
    const holds = (chunk: number): boolean => (has[chunk >> 3]! & (1 << (chunk & 7))) !== 0
    const swarm =
      index === 0
        ? undefined
        : createSwarm({
            self: id,
            chunks,
            have: holds,
            random: seededRandom(init.seed * 1_000 + index),
            isNear: peer => zoneOf(indexOf.get(peer)!) === zoneOf(index),
          })
    const rest = { turn: 0, sending: false, downFreeAt: 0, wakeAt: Number.POSITIVE_INFINITY, finishedAt: undefined }
    return { id, swarm, has, waiting: new Map(), news: [], ...rest }
  })
  const indexOf = new Map(peers.map(({ id }, index) => [id, index]))

  const input = (self: number, next: SwarmInput): void => {
    const peer = peers[self]!
    for (const effect of peer.swarm?.step(millis(Math.floor(now)), next) ?? []) perform(self, peer, effect)
  }
  const perform = (self: number, peer: Peer, effect: SwarmEffect): void => {
    switch (effect.type) {
      case 'request':
      case 'cancel': {
        const { type, indexes } = effect
        const from = indexOf.get(effect.peer)!
        return at(now + latency, () => {
          const waiting = peers[from]!.waiting.get(self) ?? new Set()
          peers[from]!.waiting.set(self, waiting)
          for (const chunk of indexes) type === 'request' ? waiting.add(chunk) : waiting.delete(chunk)
          send(from)
        })
      }
      case 'wakeAt': {
        const when = Math.max(effect.at, now + 1)
        peer.wakeAt = when
        return at(when, () => {
          if (peer.wakeAt === when && peer.finishedAt === undefined) input(self, { type: 'wake' })
        })
      }
      case 'done':
        peer.finishedAt = now
        return
      case 'ban':
      case 'drop':
        throw new Error(`a peer that does nothing wrong is given up: ${effect.reason}`)
      default:
        return effect satisfies never
    }
  }

  const send = (from: number): void => {
    const sender = peers[from]!
    if (sender.sending) return
    const order = [...sender.waiting].filter(([, waiting]) => waiting.size > 0)
    if (order.length === 0) return
    const [to, waiting] = order.find(([index]) => index > sender.turn) ?? order[0]!
    sender.turn = to
    const [chunk] = waiting as Set<number>
    waiting.delete(chunk!)
    const { length } = chunks[chunk!]!
    sender.sending = true
    if (from === 0) uploaded += length
    const receiver = peers[to]!
    const through = Math.max(receiver.downFreeAt, now) + length / rate
    receiver.downFreeAt = through
    at(now + length / rate, () => {
      sender.sending = false
      send(from)
    })
    at(through + latency, () => arrive(from, to, chunk!))
  }
  const arrive = (from: number, to: number, chunk: number): void => {
    const receiver = peers[to]!
    const bit = 1 << (chunk & 7)
    const news = (receiver.has[chunk >> 3]! & bit) === 0
    if (zoneOf(from) !== zoneOf(to)) crossed.set(zoneOf(to), (crossed.get(zoneOf(to)) ?? 0) + chunks[chunk]!.length)
    if (!news) twice += chunks[chunk]!.length
    receiver.has[chunk >> 3] = receiver.has[chunk >> 3]! | bit
    input(to, { type: 'chunk', peer: peers[from]!.id, index: chunk, good: true })
    if (!news) return
    if (receiver.news.length === 0) at(now + init.tellEvery, () => tell(to))
    receiver.news.push(chunk)
  }
  const tell = (from: number): void => {
    const indexes = peers[from]!.news
    peers[from]!.news = []
    for (let to = 1; to < peers.length; to++)
      if (to !== from) at(now + latency, () => input(to, { type: 'has', peer: peers[from]!.id, indexes }))
  }

  for (let self = 1; self < peers.length; self++)
    for (let other = 0; other < peers.length; other++)
      if (other !== self)
        at(2 * latency, () => input(self, { type: 'peer', peer: peers[other]!.id, has: peers[other]!.has.slice() }))

  for (let time = times.pop(); time !== undefined; time = times.pop()) {
    now = time
    const due = agenda.get(time)!
    for (let next = 0; next < due.length; next++) due[next]!()
    agenda.delete(time)
    if (peers.every(({ swarm, finishedAt }) => swarm === undefined || finishedAt !== undefined)) break
    if (now > 3_600_000) throw new Error('an hour has passed and somebody still lacks something')
  }
  return {
    finished: peers
      .slice(1)
      .map(({ finishedAt }) => finishedAt!)
      .sort((a, b) => a - b),
    uploaded,
    twice,
    crossed,
  }
}

/** Chunks with lengths as the chunker's: a minimum, and an exponential tail that is cut off. */
export function someChunks(seed: number, total: number): ChunkRef[] {
  const random = seededRandom(seed)
  const chunks: ChunkRef[] = []
  for (let left = total; left > 0; ) {
    const length = Math.min(left, 16_384 + random.int(98_304))
    const digest = Array.from({ length: 8 }, () => random.int(0x1_0000_0000).toString(16).padStart(8, '0')).join('')
    chunks.push({ digest: digest as Digest, length })
    left -= length
  }
  return chunks
}
