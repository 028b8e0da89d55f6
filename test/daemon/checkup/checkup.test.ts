import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCheckup } from '../../../daemon/checkup/index.ts'
import { answerOf, clockOf, serveCheckup } from '../../../daemon/checkup/peer.ts'
import type { RequestHandler } from '../../../daemon/network/index.ts'
import { type Address, encode, FleetError, type Millis, type NodeId, seededRandom } from '../../../protocol/index.ts'
import { nodeId } from '../api/fake-service.ts'

const ms = (value: number): Millis => value as Millis
const [SELF, BETA, GAMMA] = [nodeId(), nodeId(), nodeId()]
const at = (host: string): readonly Address[] => [`/ip4/${host}/tcp/7946` as Address]

test('how far a clock is off is known to within half of what the question took on its way', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1_000_000, max: 1_000_000 }),
      fc.nat(5_000),
      fc.nat(5_000),
      fc.nat(5_000),
      (ahead, there, takes, back) => {
        const asked = 10_000_000
        const came = asked + there + ahead
        const { aheadMs, errorMs } = clockOf(ms(asked), ms(asked + there + takes + back), [
          ms(came),
          ms(came + takes),
          'open',
        ])
        expect(Math.abs(aheadMs - ahead)).toBeLessThanOrEqual(errorMs)
        expect(errorMs).toBeCloseTo((there + back) / 2)
      },
    ),
  )
})

test('what is no answer is refused', () => {
  expect(answerOf(encode([1, 2, 'none']))).toEqual([1, 2, 'none'])
  for (const wrong of [[1, 2], [1, 2, 'ajar'], [-1, 2, 'open'], 'open', { 0: 1 }])
    expect(() => answerOf(encode(wrong)), JSON.stringify(wrong)).toThrow(FleetError)
  expect(() => answerOf(new Uint8Array(4_096))).toThrow(FleetError)
})

test('a member is knocked at where its own record says, at most once a second', async () => {
  let time = 5_000
  const knocked: (readonly Address[])[] = []
  const answer = serveCheckup({
    network: {
      async knock(addresses) {
        knocked.push(addresses)
        return 'refused'
      },
    },
    addressesOf: node => (node === BETA ? at('192.0.2.2') : []),
    now: () => ms(time),
  })
  const asked = (from: NodeId) => Promise.resolve(answer(from, encode(at('198.51.100.1')), AbortSignal.timeout(1_000)))
  expect(answerOf(await asked(BETA))).toEqual([5_000, 5_000, 'refused'])
  time += 999
  await expect(asked(BETA)).rejects.toThrow('asked enough')
  expect(answerOf(await asked(GAMMA))[2]).toBe('refused')
  time += 1
  await asked(BETA)
  expect(knocked).toEqual([at('192.0.2.2'), [], at('192.0.2.2')])
})

test('of a large fleet some are examined, who is gone among them, and one that says nonsense does no harm', async () => {
  const others = Array.from({ length: 200 }, (_, index) => ({
    ...{ id: nodeId(), name: `m${index}`, addresses: at('192.0.2.9') },
    status: index < 20 ? ('failed' as const) : index < 25 ? ('left' as const) : ('alive' as const),
  }))
  const served = new Map<string, RequestHandler>()
  let time = 7
  const checkup = createCheckup({
    network: {
      self: SELF,
      links: () => [],
      knock: async () => 'open',
      async request(node) {
        if (others.find(({ id }) => id === node)!.status === 'failed') throw new FleetError('unavailable', 'gone')
        return new Uint8Array([1, 2, 3])
      },
      serve: (service, handler) => void served.set(service, handler),
    },
    members: () => [{ id: SELF, name: 'me', status: 'alive', addresses: at('192.0.2.1') }, ...others],
    disk: async () => ({ path: '/', used: 1, quota: 2, free: 3, minFree: 4 }),
    healthScore: () => 1,
    damagedChunks: () => 2,
    twin: () => null,
    now: () => ms(time),
    wall: () => 6.5,
    random: seededRandom(1),
  })
  expect([...served.keys()]).toEqual(['checkup'])
  const { peers, ...rest } = await checkup.run(AbortSignal.timeout(5_000))
  expect(rest).toMatchObject({ at: 7, wall: 6, healthScore: 1, damagedChunks: 2, links: 0, twin: null })
  const count = (status: string): number => peers.filter(peer => peer.status === status).length
  expect([count('alive'), count('failed'), peers.length]).toEqual([24, 8, 32])
  expect(new Set(peers.map(({ silence }) => silence))).toContain('gone')
  for (const { clock, back, silence } of peers) expect([clock, back, typeof silence]).toEqual([null, null, 'string'])
  // Members that are asked again within the second would refuse, and look silent.
  time += 1_249
  expect((await checkup.run(AbortSignal.timeout(5_000))).at).toBe(7)
  time += 1
  expect((await checkup.run(AbortSignal.timeout(5_000))).at).toBe(1_257)
  await expect(checkup.run(AbortSignal.abort(new Error('not wanted')))).rejects.toThrow('not wanted')
})
