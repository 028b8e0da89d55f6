import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHUNK, cut } from '../../../protocol/index.ts'
import type { CtlResult, Daemon } from '../../support/daemons.ts'
import { skipped } from '../../support/netns.ts'
import { storedChunks } from '../../support/store.ts'
import { eventually } from '../../support/wait.ts'
import { createSite, fetchImage, heldOf, noise, receivedOf, type Site, toHold, verify } from './support.ts'

// Whoever gives an image or gets it is killed or cut off in the middle of it, and it arrives all the same.

const MIB = 8
const SIZE = MIB * 2 ** 20

describe.skipIf(skipped('losses.long.ts'))('an image on its way from a seed to four receivers', () => {
  let site: Site
  beforeAll(async () => {
    site = await createSite(5)
    // Slower than the seed, so that it has given all of it away before any of them has all of it.
    for (const host of site.hosts.slice(1)) host.rateBothWays('eth0', '8mbit')
  }, 400_000)
  afterAll(() => site?.close())
  const receivers = (): Daemon[] => site.daemons.slice(1)

  async function allArrive(image: string, fetches: readonly Promise<CtlResult>[]): Promise<void> {
    for (const { code, stderr } of await Promise.all(fetches)) expect(code, stderr).toBe(0)
    for (const daemon of receivers()) expect(await verify(daemon, image)).toBe(0)
  }

  test('arrives though the seed is killed as soon as the receivers have one full copy between them', async () => {
    const image = await site.build(0, 'spread', noise(MIB))
    const before = receivers().map(({ dir }) => storedChunks(dir).names)
    const fetches = receivers().map(daemon => fetchImage(daemon, image))
    const { chunks } = await toHold(receivers()[0]!, image, 0)
    const own = await eventually(
      'one full copy between the receivers',
      () => {
        const held = receivers().map(({ dir }, at) =>
          [...storedChunks(dir).names].filter(name => !before[at]!.has(name)),
        )
        return new Set(held.flat()).size === chunks && held
      },
      { seconds: 120, everyMs: 50 },
    )
    await site.kill(0)
    for (const { length } of own) expect(length).toBeLessThan(chunks)
    console.log(`with one full copy spread the receivers had ${own.map(({ length }) => length)} of ${chunks} chunks`)
    await allArrive(image, fetches)
    await site.revive(0)
  }, 600_000)

  test('waits when the seed is killed before that, and arrives once it is back', async () => {
    const image = await site.build(0, 'waiting', noise(MIB))
    const fetches = receivers().map(daemon => fetchImage(daemon, image))
    await Promise.race(receivers().map(daemon => toHold(daemon, image, 0.2)))
    await site.kill(0)
    // What there is between them is soon with each of them, and nothing more comes.
    const counts = await eventually(
      'all receivers to have the same',
      async () => {
        const held = await Promise.all(receivers().map(async daemon => (await heldOf(daemon, image))?.held ?? 0))
        return held.every(count => count === held[0]) && held
      },
      { seconds: 120, everyMs: 200 },
    )
    const { chunks } = (await heldOf(receivers()[0]!, image))!
    expect(counts[0]).toBeLessThan(chunks)
    await site.revive(0)
    await allArrive(image, fetches)
  }, 600_000)

  test('loses nothing that was told of when a receiver is killed at each tenth of the way', async () => {
    const image = await site.build(0, 'tenths', noise(MIB))
    const others = receivers()
      .slice(1, 3)
      .map(daemon => fetchImage(daemon, image))
    let again = 0
    for (let tenth = 1; tenth <= 9; tenth++) {
      const victim = site.daemons[1]!
      const had = (await heldOf(victim, image)) === undefined ? 0 : storedChunks(victim.dir).good
      const interrupted = fetchImage(victim, image)
      const { held } = await toHold(victim, image, tenth / 10)
      const received = await receivedOf(victim, image)
      await site.kill(1)
      expect((await interrupted).code).not.toBe(0)
      const { good, wrong } = storedChunks(victim.dir)
      expect(wrong).toEqual([])
      await site.revive(1)
      const after = (await heldOf(site.daemons[1]!, image))!
      expect(after.held).toBeGreaterThanOrEqual(held)
      again += Math.max(0, had + received - good)
    }
    expect((await fetchImage(site.daemons[1]!, image)).code).toBe(0)
    expect(await verify(site.daemons[1]!, image)).toBe(0)
    for (const { code } of await Promise.all(others)) expect(code).toBe(0)
    console.log(`nine kills cost ${again} bytes that had come and were not on the disk`)
    expect(again).toBeLessThanOrEqual(SIZE * 0.02)
  }, 900_000)

  test('is made whole from both sides of a partition once it ends, when each had a half of it', async () => {
    // Cut where a chunk ends, so that the chunks of the halves are those of the whole.
    const content = noise(MIB)
    let half = 0
    while (half < SIZE / 2) half += cut(content.subarray(half, half + CHUNK.max))
    const whole = await site.build(0, 'whole', content)
    const left = await site.build(0, 'left', content.subarray(0, half))
    const right = await site.build(0, 'right', content.subarray(half))
    const wanted = [left, left, right, right]
    for (const { code } of await Promise.all(receivers().map((daemon, at) => fetchImage(daemon, wanted[at]!))))
      expect(code).toBe(0)
    // Each side learns what the whole is, and the seed is gone before much of it came.
    site.hosts[0]!.rateBothWays('eth0', '2mbit')
    site.part([1, 2], [3, 4])
    const fetches = receivers().map(daemon => fetchImage(daemon, whole))
    for (const daemon of receivers()) await toHold(daemon, whole, 0.3)
    await site.kill(0)
    const stand = async (): Promise<number[]> =>
      Promise.all(receivers().map(async daemon => (await heldOf(daemon, whole))!.held))
    const { chunks } = (await heldOf(receivers()[0]!, whole))!
    const apart = await stand()
    for (const held of apart) expect(held).toBeLessThan(chunks)
    console.log(`apart they had ${apart} of ${chunks} chunks`)
    site.heal()
    await allArrive(whole, fetches)
    site.hosts[0]!.rateBothWays('eth0', '32mbit')
    await site.revive(0)
  }, 600_000)
})
