import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ChunkRef, millis, type NodeId, seededRandom, sha256 } from '../../../protocol/index.ts'
import { createSwarm, type Swarm, type SwarmEffect, type SwarmInput } from '../../../rollout/index.ts'

// Downloaders with the real machine on a virtual clock, peers that serve what they are asked for, and one that may lie.

const LATENCY = 5
/** How long a source is busy with one chunk: 16 MB/s up. Milliseconds. */
const SENDING = 4
const LIMIT = 10 * 60_000

interface World {
  readonly downloaders: number
  readonly chunks: number
  /** Chunks out of a hundred that the liar sends wrong; it is a complete peer beside the seed. */
  readonly lies: number
  /** When the seed goes and when it is back, milliseconds from the beginning. */
  readonly away: readonly [number, number]
  readonly seed: number
}

interface Outcome {
  /** When each was done; undefined for one that never was. */
  readonly doneAt: readonly (number | undefined)[]
  readonly banned: ReadonlySet<string>
  /** How often the seed and the liar sent a chunk, over the number of chunks. */
  readonly uploaded: number
}

function run(world: World): Outcome {
  const random = seededRandom(world.seed)
  const chunks: ChunkRef[] = Array.from({ length: world.chunks }, (_, index) => ({
    digest: sha256(Buffer.from(`chunk ${index}`)),
    length: 64 * 1024,
  }))
  const everything = new Uint8Array(Math.ceil(chunks.length / 8)).fill(0xff)
  const agenda: { at: number; order: number; run: () => void }[] = []
  let order = 0
  let now = 0
  let sent = 0
  const later = (delay: number, what: () => void): void => {
    agenda.push({ at: now + delay, order: order++, run: what })
  }

  interface Downloader {
    readonly id: NodeId
    readonly swarm: Swarm
    readonly have: Set<number>
    wake: number
    doneAt: number | undefined
  }
  const banned = new Set<string>()
  const seedUp = (): boolean => now < world.away[0] || now >= world.away[1]
  const freeAt = new Map<NodeId, number>()
  /** How long a chunk that this source begins to send now is on its way: it sends one after the other. */
  const transfer = (peer: NodeId): number => {
    const free = Math.max(now, freeAt.get(peer) ?? 0) + SENDING
    freeAt.set(peer, free)
    return free - now + LATENCY
  }
  const serve = (peer: NodeId, to: Downloader, index: number): void => {
    if (peer === 'seed') {
      if (!seedUp()) return
      sent += 1
      return later(transfer(peer), () => feed(to, { type: 'chunk', peer, index, good: true }))
    }
    if (peer === 'liar') {
      const good = random.int(100) >= world.lies
      if (good) sent += 1
      return later(transfer(peer), () => feed(to, { type: 'chunk', peer, index, good }))
    }
    const from = all.find(({ id }) => id === peer)!
    if (!from.have.has(index)) return later(LATENCY, () => feed(to, { type: 'refused', peer, index }))
    later(transfer(peer), () => feed(to, { type: 'chunk', peer, index, good: true }))
  }
  const feed = (to: Downloader, input: SwarmInput): void => {
    if (input.type === 'chunk' && input.good && !to.have.has(input.index)) {
      to.have.add(input.index)
      for (const other of all)
        if (other !== to) later(LATENCY, () => feed(other, { type: 'has', peer: to.id, indexes: [input.index] }))
    }
    for (const effect of to.swarm.step(millis(now), input)) perform(to, effect)
  }
  const perform = (to: Downloader, effect: SwarmEffect): void => {
    switch (effect.type) {
      case 'request':
        for (const index of effect.indexes) later(LATENCY, () => serve(effect.peer, to, index))
        return
      case 'ban':
        banned.add(effect.peer)
        return
      case 'drop':
        // The daemon connects anew when it looks for providers the next time.
        return later(500, () => meet(to, effect.peer))
      case 'wakeAt': {
        to.wake += 1
        const { wake } = to
        return later(Math.max(0, effect.at - now), () => to.wake === wake && feed(to, { type: 'wake' }))
      }
      case 'done':
        to.doneAt = now
        return
      case 'cancel':
        return
      default:
        return effect satisfies never
    }
  }
  const bits = ({ have }: Downloader): Uint8Array => {
    const has = new Uint8Array(everything.byteLength)
    for (const index of have) has[index >> 3]! |= 1 << (index & 7)
    return has
  }
  const meet = (to: Downloader, peer: NodeId): void => {
    if (peer === 'seed' && !seedUp()) return later(500, () => meet(to, peer))
    const has = peer === 'seed' || peer === 'liar' ? everything : bits(all.find(({ id }) => id === peer)!)
    feed(to, { type: 'peer', peer, has })
  }

  const all: Downloader[] = Array.from({ length: world.downloaders }, (_, index) => ({
    id: `node ${index}` as NodeId,
    swarm: createSwarm({
      self: `node ${index}` as NodeId,
      chunks,
      have: () => false,
      random: seededRandom(random.int(0x3fff_ffff)),
    }),
    have: new Set(),
    wake: 0,
    doneAt: undefined,
  }))
  const sources = ['seed', ...(world.lies > 0 ? ['liar'] : [])] as NodeId[]
  for (const to of all) {
    later(random.int(50), () => feed(to, { type: 'wake' }))
    for (const peer of [...sources, ...all.map(({ id }) => id)])
      if (peer !== to.id) later(50 + random.int(200), () => meet(to, peer))
    later(world.away[0], () => feed(to, { type: 'gone', peer: 'seed' as NodeId }))
    later(world.away[1], () => meet(to, 'seed' as NodeId))
  }
  while (agenda.length > 0 && all.some(({ doneAt }) => doneAt === undefined)) {
    let first = 0
    for (let at = 1; at < agenda.length; at++) {
      const [a, b] = [agenda[at]!, agenda[first]!]
      if (a.at < b.at || (a.at === b.at && a.order < b.order)) first = at
    }
    const [next] = agenda.splice(first, 1)
    now = next!.at
    if (now > LIMIT) break
    next!.run()
  }
  return { doneAt: all.map(({ doneAt }) => doneAt), banned, uploaded: sent / chunks.length }
}

const CALM = { lies: 0, away: [LIMIT, LIMIT] } as const

test('everybody ends with all of it, whoever lies and whenever the seed is away, and only the liar is banned', () => {
  fc.assert(
    fc.property(
      fc.record({
        downloaders: fc.integer({ min: 1, max: 5 }),
        chunks: fc.integer({ min: 1, max: 60 }),
        lies: fc.integer({ min: 0, max: 60 }),
        away: fc
          .tuple(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 20_000 }))
          .map(([from, length]) => [from, from + length] as const),
        seed: fc.nat(0x3fff_ffff),
      }),
      world => {
        const { doneAt, banned } = run(world)
        expect(doneAt).not.toContain(undefined)
        expect([...banned].filter(peer => peer !== 'liar')).toEqual([])
      },
    ),
    { numRuns: 60 },
  )
}, 60_000)

test('a chunk that a liar sent is asked of somebody else, though others wait for it too', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { doneAt, banned } = run({ downloaders: 3, chunks: 50, lies: 30, away: [0, 3_000], seed })
    expect(doneAt).not.toContain(undefined)
    expect(banned).toEqual(new Set(['liar']))
  }
})

test('a seed with eight downloaders sends less than twice what one of them needs', () => {
  const { doneAt, uploaded } = run({ ...CALM, downloaders: 8, chunks: 200, seed: 1 })
  expect(doneAt).not.toContain(undefined)
  expect(uploaded).toBeLessThan(2)
})
