import { expect, test } from 'vitest'
import { runSwarm, someChunks } from './swarm-world.ts'

/** 32 Mbit/s. Bytes per millisecond. */
const RATE = 4_000

test.each([
  { receivers: 4, mib: 64 },
  { receivers: 8, mib: 64 },
  { receivers: 16, mib: 32 },
])(
  '$mib MiB reach $receivers receivers in little more than the physical limit, and the seed sends little more than once',
  ({ receivers, mib }) => {
    const size = mib * 2 ** 20
    const chunks = someChunks(receivers, size)
    const { finished, uploaded, twice } = runSwarm({
      seed: 1,
      receivers,
      chunks,
      rate: RATE,
      latency: 1,
      tellEvery: 50,
    })
    // Mundinger, Weber, Weiss: Optimal scheduling of peer-to-peer file dissemination, J. Scheduling 2008.
    const limit = (size / RATE) * (1 + Math.floor(Math.log2(receivers)) / chunks.length)
    expect(finished[0]).toBeGreaterThanOrEqual(size / RATE)
    expect(finished[Math.floor((receivers - 1) / 2)]! / limit).toBeLessThanOrEqual(1.15)
    expect(finished.at(-1)! / limit).toBeLessThanOrEqual(1.3)
    expect(uploaded / size).toBeLessThanOrEqual(1.1)
    expect(twice / size).toBeLessThanOrEqual(0.05)
  },
)

test('into each zone comes little more than one copy, however many there want it, and no zone waits for its gateways for ever', () => {
  for (const seed of [1, 2, 3]) {
    const size = 16 * 2 ** 20
    const chunks = someChunks(seed, size)
    // The seed stands in a zone of its own; six receivers in each of two others.
    const zoneOf = (peer: number): number => (peer === 0 ? 0 : 1 + (peer % 2))
    const { finished, crossed } = runSwarm({
      seed,
      receivers: 12,
      chunks,
      rate: RATE,
      latency: 5,
      tellEvery: 50,
      zoneOf,
    })
    expect(finished).toHaveLength(12)
    for (const zone of [1, 2]) {
      expect(crossed.get(zone)! / size).toBeGreaterThanOrEqual(1)
      expect(crossed.get(zone)! / size).toBeLessThanOrEqual(1.5)
    }
    console.log(
      `over the borders: ${[1, 2].map(zone => (crossed.get(zone)! / size).toFixed(3))} times the image; ${((finished.at(-1)! / size) * RATE).toFixed(2)} of the limit`,
    )
  }
})
