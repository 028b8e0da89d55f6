import { type ChunkRef, type Millis, millis, type NodeId, type Random } from '../../protocol/index.ts'
import { createOwners } from './owners.ts'

/**
 * The most that one peer is asked for at a time: several times the bandwidth-delay product of a fast LAN, and still little to ask anew when it stalls. With 8 MiB a receiver
 * spends 1.7 times the processor: buffers grow old before they are synced, and V8 moves all of its heap for them (docs/decisions/0042). Bytes.
 */
const WINDOW = 2 * 1024 * 1024
/** The least, and what is asked of a peer whose rate is not known yet. Bytes. */
const SMALLEST_WINDOW = 96 * 1024
/** In between a peer is asked for what it gives in a round trip and this time: more would wait there while another peer could have sent it. Milliseconds. */
const AHEAD = 250
/** Of all peers together no more is asked for than twice what came lately, and this: on a link that carries less than its peers could send, more would only wait there, each chunk for all others. Bytes. */
const FIRST = 32 * 1024
/** What came so long ago counts half. Milliseconds. */
const LATELY = 1_000
/** What is waited for of a peer of which not a byte has come for so long keeps nobody from asking others. Milliseconds. */
const SILENT = 2_000
/** Nor does what was asked for so long ago, though bytes of it come: the largest chunk takes so long at LIMITS.lowestRate. Milliseconds. */
const LATE = 30_000
/** One request names about this much, and half of it at least where a window is larger than that: requests cost both ends as much as chunks. Bytes. */
const BATCH = 1024 * 1024
/** A peer that was asked and gives nothing for this long is given up (Spegel's users ask for just that, spegel#551). Milliseconds. */
const STALL = 10_000
/** How many candidates are looked at when choosing a chunk: a random sample of what is missing is as good as all of it. */
const SAMPLE = 512
/** A chunk that another downloader is meant to bring in from the seed is left to it for this long after nothing else was left to do. Milliseconds. */
const YIELD = 300
/** Nor is it left to them again for this long. Milliseconds. */
const IMPATIENCE = 1_000
/** What another one of this zone is meant to bring in over its border is left to it for as long as something comes, and this long after. Milliseconds. */
const BORDER_YIELD = 5_000
/** In the endgame a chunk is asked of at most so many peers at once. */
const ENDGAME_COPIES = 2

export type SwarmInput =
  | { readonly type: 'wake' }
  /** A channel to a peer is open; `has` says what it holds. */
  | { readonly type: 'peer'; readonly peer: NodeId; readonly has: Uint8Array }
  | { readonly type: 'has'; readonly peer: NodeId; readonly indexes: readonly number[] }
  | { readonly type: 'gone'; readonly peer: NodeId }
  /** A chunk came and was verified and stored, or was found not to match its digest. */
  | { readonly type: 'chunk'; readonly peer: NodeId; readonly index: number; readonly good: boolean }
  /** Bytes came that are not a whole chunk yet, or the peer may not send now. */
  | { readonly type: 'heard'; readonly peer: NodeId }
  /** The peer does not have it after all. */
  | { readonly type: 'refused'; readonly peer: NodeId; readonly index: number }

export type SwarmEffect =
  | { readonly type: 'request'; readonly peer: NodeId; readonly indexes: readonly number[] }
  | { readonly type: 'cancel'; readonly peer: NodeId; readonly indexes: readonly number[] }
  /** It sent what it should not have: never asked again for this image, and named. */
  | { readonly type: 'ban'; readonly peer: NodeId; readonly reason: string }
  /** It does not deliver; it may come back. */
  | { readonly type: 'drop'; readonly peer: NodeId; readonly reason: string }
  | { readonly type: 'wakeAt'; readonly at: Millis }
  | { readonly type: 'done' }

interface Peer {
  /** Of this node's zone. */
  readonly near: boolean
  readonly has: Uint8Array
  count: number
  readonly asked: Map<number, Asked>
  askedBytes: number
  /** How much may be asked of it at a time. Bytes. */
  window: number
  /** The shortest that something it was asked for has taken: a round trip, or little more. Milliseconds. */
  quickest: number
  heardAt: Millis
}

interface Asked {
  readonly at: Millis
  /** What it had been asked for by then and had not sent, this among it. Bytes. */
  readonly queue: number
}

export interface Swarm {
  step(now: Millis, input: SwarmInput): SwarmEffect[]
  /** What a peer has been asked for and has not sent. */
  asked(peer: NodeId): { readonly bytes: number; readonly chunks: number }
  progress(): { readonly done: number; readonly total: number; readonly missing: number; readonly peers: number }
}

/**
 * Which chunk of one image to ask of whom. Rarest first with random ties, as in BitTorrent (Legout et al., IMC 2006), with one
 * addition that keeps the seed from sending the same chunk many times: of a chunk that only complete peers hold, one of the
 * downloaders is the owner, by rendezvous hash, and the others leave it to him for as long as they have anything else to do.
 *
 * Zones: what a peer of this zone has is not asked of one of another. Of a chunk that only other zones have, one of the downloaders of this
 * zone is the gateway, by the same hash, and the others of the zone wait for it: a zone pays once for what crosses its border.
 */
export function createSwarm(init: {
  self: NodeId
  chunks: readonly ChunkRef[]
  have: (index: number) => boolean
  random: Random
  /** Whether a peer is in this node's zone; all are where it is left out. */
  isNear?: (peer: NodeId) => boolean
}): Swarm {
  const { self, chunks, random, isNear = () => true } = init
  const peers = new Map<NodeId, Peer>()
  const banned = new Set<NodeId>()
  const availability = new Uint16Array(chunks.length)
  /** How many of those that hold it are downloaders themselves. */
  const among = new Uint16Array(chunks.length)
  /** How many of those that hold it are of this zone. */
  const near = new Uint16Array(chunks.length)
  const asked = new Map<number, Set<NodeId>>()
  /** Indexes that are missing, in random order; `slot` finds an index in it. */
  const missing: number[] = []
  const slot = new Int32Array(chunks.length).fill(-1)
  let total = 0
  let done = 0
  let finished = false
  let idleSince: Millis | null = null
  let impatientUntil: Millis = millis(0)
  /** When something last came, or began to be waited for: the gateways of the zone are trusted until a while after. */
  let cameAt: Millis | null = null
  let lately = { bytes: 0, at: millis(0) }
  let effects: SwarmEffect[] = []

  for (const [index, chunk] of chunks.entries()) {
    total += chunk.length
    if (init.have(index)) done += chunk.length
    else missing.push(index)
  }
  for (let at = missing.length - 1; at > 0; at--) {
    const other = random.int(at + 1)
    ;[missing[at], missing[other]] = [missing[other]!, missing[at]!]
  }
  for (const [at, index] of missing.entries()) slot[index] = at

  const holds = (peer: Peer, index: number): boolean => ((peer.has[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  const complete = (peer: Peer): boolean => peer.count === chunks.length

  const take = (index: number): void => {
    const at = slot[index]!
    const last = missing.pop()!
    if (last !== index) {
      missing[at] = last
      slot[last] = at
    }
    slot[index] = -1
    done += chunks[index]!.length
  }

  /** Counts what a peer holds in or out of the availability. */
  const count = (peer: Peer, by: 1 | -1): void => {
    const part = !complete(peer)
    for (let index = 0; index < chunks.length; index++) {
      if (!holds(peer, index)) continue
      availability[index] = availability[index]! + by
      if (part) among[index] = among[index]! + by
      if (peer.near) near[index] = near[index]! + by
    }
  }

  const forget = (id: NodeId): void => {
    const peer = peers.get(id)
    if (peer === undefined) return
    peers.delete(id)
    count(peer, -1)
    for (const index of peer.asked.keys()) unask(index, id)
  }
  const unask = (index: number, id: NodeId): void => {
    const set = asked.get(index)
    if (set === undefined) return
    set.delete(id)
    if (set.size === 0) asked.delete(index)
  }

  const downloaders = (inGroup: (peer: Peer) => boolean) => (): readonly NodeId[] =>
    [...peers].filter(([, peer]) => !complete(peer) && inGroup(peer)).map(([id]) => id)
  /** Whether another downloader brings a chunk in from a complete peer. */
  const owners = createOwners(
    self,
    chunks,
    downloaders(() => true),
  )
  /** Whether another one of this zone brings it in over the border. */
  const gateways = createOwners(
    self,
    chunks,
    downloaders(peer => peer.near),
  )

  /** Whether a chunk has no business to cross the border to this node. */
  const isOfZone = (index: number): boolean => near[index]! > 0 || gateways.isOther(index)

  /** The best chunk to ask this peer for now. `patient` false: also what is better left to others; `trusting` false: also over the border. */
  const choose = (peer: Peer, patient: boolean, trusting: boolean): number | undefined => {
    const whole = complete(peer)
    let best: number | undefined
    let rarest = Number.POSITIVE_INFINITY
    const start = random.int(missing.length)
    const looks = Math.min(missing.length, SAMPLE)
    for (let look = 0, at = start; look < looks; look++, at = at + 1 === missing.length ? 0 : at + 1) {
      const index = missing[at]!
      if (asked.has(index) || !holds(peer, index)) continue
      // A complete peer is the only source of something: what downloaders hold is asked of them.
      if (patient && whole && (among[index]! > 0 || owners.isOther(index))) continue
      if (trusting && !peer.near && isOfZone(index)) continue
      if (availability[index]! < rarest) {
        rarest = availability[index]!
        best = index
        // Nobody else has it: nothing is rarer.
        if (rarest === 1) break
      }
    }
    return best
  }

  const fill = (now: Millis): void => {
    if (finished || missing.length === 0) return
    owners.regroup()
    gateways.regroup()
    cameAt ??= now
    const trusting = now - cameAt < BORDER_YIELD
    if (idleSince !== null && now - idleSince >= YIELD) impatientUntil = millis(now + IMPATIENCE)
    const impatient = now < impatientUntil
    let busy = false
    let reach = 2 * latelyAt(now) + FIRST - onTheWay(now)
    // Downloaders are served first with requests, so that complete peers are asked for the rest.
    const order = random.shuffle([...peers]).sort(([, a], [, b]) => Number(complete(a)) - Number(complete(b)))
    for (const [id, peer] of order) {
      const room = peer.window - peer.askedBytes
      if (room < BATCH / 2 && peer.window > BATCH) {
        busy = true
        continue
      }
      const picked: number[] = []
      let bytes = 0
      // Asking in batches keeps requests few; a peer whose window is nearly full waits for room.
      while (peer.askedBytes + bytes < peer.window && bytes < reach) {
        const index = choose(peer, !impatient, trusting)
        if (index === undefined) break
        picked.push(index)
        bytes += chunks[index]!.length
        asked.set(index, new Set([id]))
        if (impatient && bytes >= BATCH / 4) break
      }
      if (picked.length > 0) request(now, id, peer, picked)
      reach -= bytes
      if (peer.asked.size > 0) busy = true
    }
    if (!busy && asked.size === 0) idleSince ??= now
    else idleSince = null
    if (missing.length === asked.size && missing.length > 0) endgame(now, trusting)
  }

  const latelyAt = (now: Millis): number => lately.bytes * 2 ** ((lately.at - now) / LATELY)
  /** What comes of what was asked for. */
  const onTheWay = (now: Millis): number => {
    let bytes = 0
    for (const peer of peers.values()) {
      const [oldest] = peer.asked.values()
      if (oldest !== undefined && now - peer.heardAt < SILENT && now - oldest.at < LATE) bytes += peer.askedBytes
    }
    return bytes
  }

  const request = (now: Millis, id: NodeId, peer: Peer, indexes: readonly number[]): void => {
    if (peer.asked.size === 0) peer.heardAt = now
    let batch: number[] = []
    let bytes = 0
    for (const index of indexes) {
      peer.askedBytes += chunks[index]!.length
      peer.asked.set(index, { at: now, queue: peer.askedBytes })
      batch.push(index)
      bytes += chunks[index]!.length
      if (bytes < BATCH) continue
      effects.push({ type: 'request', peer: id, indexes: batch })
      batch = []
      bytes = 0
    }
    if (batch.length > 0) effects.push({ type: 'request', peer: id, indexes: batch })
  }

  /** All that is missing is on its way: what a slow peer was asked for is asked of an idle one as well. */
  const endgame = (now: Millis, trusting: boolean): void => {
    for (const [id, peer] of peers) {
      if (peer.asked.size > 0) continue
      const extra: number[] = []
      let bytes = 0
      for (const index of missing) {
        const by = asked.get(index)
        if (by === undefined || by.size >= ENDGAME_COPIES || by.has(id) || !holds(peer, index)) continue
        if (trusting && !peer.near && isOfZone(index)) continue
        const slow = [...by].some(other => {
          const { heardAt, asked } = peers.get(other)!
          return now - heardAt > YIELD || now - asked.get(index)!.at > LATE
        })
        if (!slow) continue
        by.add(id)
        extra.push(index)
        bytes += chunks[index]!.length
        if (bytes >= BATCH / 4) break
      }
      if (extra.length > 0) request(now, id, peer, extra)
    }
  }

  const arrived = (now: Millis, id: NodeId, index: number, good: boolean): void => {
    const peer = peers.get(id)
    if (index < 0 || index >= chunks.length) return ban(id, `it sent chunk ${index}, which the image does not have`)
    if (peer === undefined) {
      if (good && slot[index] !== -1) settle(index)
      return
    }
    if (good) {
      // It came all the time that it was waited for.
      const share = Math.min(1, LATELY / Math.max(1, now - (peer.asked.get(index)?.at ?? now)))
      lately = { bytes: latelyAt(now) + chunks[index]!.length * share, at: now }
    }
    answered(peer, index, now)
    unask(index, id)
    peer.heardAt = now
    if (good) cameAt = now
    if (!good) return ban(id, `chunk ${index} that it sent does not match its digest`)
    if (slot[index] !== -1) settle(index)
  }
  const answered = (peer: Peer, index: number, now: Millis): void => {
    const asked = peer.asked.get(index)
    if (asked === undefined) return
    peer.asked.delete(index)
    peer.askedBytes -= chunks[index]!.length
    const took = Math.max(1, now - asked.at)
    peer.quickest = Math.min(peer.quickest, took)
    // Little's law: what was waiting, over how long it waited, is its rate.
    const room = (asked.queue / took) * (peer.quickest + AHEAD)
    const window = peer.window + (room - peer.window) / 4
    peer.window = Math.min(WINDOW, Math.max(SMALLEST_WINDOW, window))
  }
  const settle = (index: number): void => {
    take(index)
    for (const other of asked.get(index) ?? []) {
      const peer = peers.get(other)
      if (peer?.asked.delete(index) === true) {
        peer.askedBytes -= chunks[index]!.length
        effects.push({ type: 'cancel', peer: other, indexes: [index] })
      }
    }
    asked.delete(index)
    owners.forget(index)
    gateways.forget(index)
  }
  const ban = (id: NodeId, reason: string): void => {
    banned.add(id)
    forget(id)
    effects.push({ type: 'ban', peer: id, reason })
  }

  const handle = (now: Millis, input: SwarmInput): void => {
    switch (input.type) {
      case 'wake':
        for (const [id, peer] of peers) {
          if (peer.asked.size === 0 || now - peer.heardAt < STALL) continue
          forget(id)
          effects.push({ type: 'drop', peer: id, reason: `it has sent nothing for ${STALL / 1000} s` })
        }
        return
      case 'peer': {
        if (banned.has(input.peer)) return
        forget(input.peer)
        const has = new Uint8Array(Math.ceil(chunks.length / 8))
        has.set(input.has.subarray(0, has.byteLength))
        const peer: Peer = {
          near: isNear(input.peer),
          has,
          count: 0,
          asked: new Map(),
          askedBytes: 0,
          window: SMALLEST_WINDOW,
          quickest: Number.POSITIVE_INFINITY,
          heardAt: now,
        }
        for (let index = 0; index < chunks.length; index++) if (holds(peer, index)) peer.count += 1
        peers.set(input.peer, peer)
        count(peer, 1)
        return
      }
      case 'has': {
        const peer = peers.get(input.peer)
        if (peer === undefined) return
        for (const index of input.indexes) {
          if (index < 0 || index >= chunks.length || holds(peer, index)) continue
          peer.has[index >> 3] = peer.has[index >> 3]! | (1 << (index & 7))
          peer.count += 1
          availability[index] = availability[index]! + 1
          among[index] = among[index]! + 1
          if (peer.near) near[index] = near[index]! + 1
        }
        // Now complete, it no longer counts among the downloaders.
        if (complete(peer))
          for (let index = 0; index < chunks.length; index++) among[index] = Math.max(0, among[index]! - 1)
        return
      }
      case 'gone':
        return forget(input.peer)
      case 'heard': {
        const peer = peers.get(input.peer)
        if (peer !== undefined) peer.heardAt = now
        return
      }
      case 'chunk':
        return arrived(now, input.peer, input.index, input.good)
      case 'refused': {
        const peer = peers.get(input.peer)
        if (peer === undefined || input.index < 0 || input.index >= chunks.length) return
        if (peer.asked.delete(input.index)) peer.askedBytes -= chunks[input.index]!.length
        unask(input.index, input.peer)
        if (holds(peer, input.index)) {
          const part = !complete(peer)
          peer.has[input.index >> 3] = peer.has[input.index >> 3]! & ~(1 << (input.index & 7))
          peer.count -= 1
          availability[input.index] = availability[input.index]! - 1
          if (part) among[input.index] = Math.max(0, among[input.index]! - 1)
          if (peer.near) near[input.index] = near[input.index]! - 1
        }
        return
      }
      default:
        return input satisfies never
    }
  }

  return {
    step(now, input) {
      effects = []
      handle(now, input)
      if (input.type === 'heard') return effects
      if (!finished && missing.length === 0) {
        finished = true
        effects.push({ type: 'done' })
      }
      fill(now)
      if (!finished) effects.push({ type: 'wakeAt', at: millis(now + (idleSince === null ? 1_000 : YIELD)) })
      return effects
    },
    asked(id) {
      const peer = peers.get(id)
      return { bytes: peer?.askedBytes ?? 0, chunks: peer?.asked.size ?? 0 }
    },
    progress: () => ({ done, total, missing: missing.length, peers: peers.size }),
  }
}
