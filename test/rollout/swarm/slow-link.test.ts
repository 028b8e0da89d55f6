import { expect, test } from 'vitest'
import { type ChunkRef, millis, type NodeId, seededRandom, sha256 } from '../../../protocol/index.ts'
import { createSwarm, type SwarmEffect, type SwarmInput } from '../../../rollout/index.ts'

// One downloader whose link carries far less than its peers could send: what they send at once shares it, byte by byte.

const TICK = 50

function fetchOver(link: { rate: number; peers: number; mute?: number; chunks: number; seed: number }) {
  const chunks: ChunkRef[] = Array.from({ length: link.chunks }, (_, index) => ({
    digest: sha256(Buffer.from(`chunk ${index}`)),
    length: 64 * 1024,
  }))
  const has = new Uint8Array(Math.ceil(chunks.length / 8)).fill(0xff)
  const have = new Set<number>()
  const swarm = createSwarm({
    self: 'self' as NodeId,
    chunks,
    have: index => have.has(index),
    random: seededRandom(link.seed),
  })
  /** What each peer has put on the link, and what of the first has not come yet. */
  const sending = new Map<NodeId, { index: number; left: number }[]>()
  const dropped: NodeId[] = []
  let [now, wakeAt, received, mostWaiting, done] = [0, 0, 0, 0, false]

  const feed = (input: SwarmInput): void => {
    for (const effect of swarm.step(millis(now), input)) perform(effect)
  }
  const perform = (effect: SwarmEffect): void => {
    switch (effect.type) {
      case 'request': {
        if (Number(effect.peer.slice('peer '.length)) < (link.mute ?? 0)) return
        const queue = sending.get(effect.peer) ?? []
        for (const index of effect.indexes) queue.push({ index, left: chunks[index]!.length })
        sending.set(effect.peer, queue)
        return
      }
      case 'drop':
        dropped.push(effect.peer)
        sending.delete(effect.peer)
        return
      case 'wakeAt':
        wakeAt = effect.at
        return
      case 'done':
        done = true
        return
      case 'cancel':
        return // too late: it is on its way
      default:
        throw new Error(`unexpected ${effect.type}`)
    }
  }
  for (let peer = 0; peer < link.peers; peer++) feed({ type: 'peer', peer: `peer ${peer}` as NodeId, has })
  for (; !done && now < 3_600_000; now += TICK) {
    const active = [...sending].filter(([, queue]) => queue.length > 0)
    for (const [peer, queue] of active) {
      const bytes = (link.rate * TICK) / active.length
      received += bytes
      const [first] = queue
      first!.left -= bytes
      feed({ type: 'heard', peer })
      if (first!.left > 0) continue
      queue.shift()
      have.add(first!.index)
      feed({ type: 'chunk', peer, index: first!.index, good: true })
    }
    mostWaiting = Math.max(
      mostWaiting,
      [...sending.values()].flat().reduce((sum, { left }) => sum + left, 0),
    )
    if (now >= wakeAt) feed({ type: 'wake' })
  }
  const size = chunks.length * 64 * 1024
  return { took: now, ideal: size / link.rate, sent: received / size, mostWaiting, dropped }
}

test('a link of 10 KB/s gets there with five peers of which each could fill it, none of them given up and nothing sent twice', () => {
  for (const seed of [1, 2, 3]) {
    const { took, ideal, sent, mostWaiting, dropped } = fetchOver({ rate: 10, peers: 5, chunks: 20, seed })
    expect(dropped).toEqual([])
    expect(took / ideal).toBeLessThan(1.1)
    expect(sent).toBeLessThan(1.1)
    // A chunk that is asked for while there is room for a part of it, and what comes in a few seconds.
    expect(mostWaiting).toBeLessThan(192 * 1024)
  }
})

test('peers that take requests and never answer hold nothing up for long, though they are more than those that do', () => {
  for (const seed of [1, 2, 3]) {
    const { took, ideal, dropped } = fetchOver({ rate: 10, peers: 5, mute: 3, chunks: 20, seed })
    expect(new Set(dropped)).toEqual(new Set(['peer 0', 'peer 1', 'peer 2']))
    expect(took / ideal).toBeLessThan(1.3)
  }
})
