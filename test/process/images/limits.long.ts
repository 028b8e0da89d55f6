import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { skipped } from '../../support/netns.ts'
import { eventually } from '../../support/wait.ts'
import { createSite, fetchImage, heldOf, noise, type Site, toHold, verify } from './support.ts'

// What --upload-limit and its like promise, counted by the kernel at the interface of the host that has them.

const KIB = 1024
/** How long it is looked at what passes when nothing is fetched: probes, gossip. Milliseconds. */
const IDLE = 5_000

describe.skipIf(skipped('limits.long.ts'))('an image on its way between three hosts of two zones', () => {
  let site: Site
  beforeAll(async () => {
    site = await createSite(3, index => ({ zone: index === 2 ? 'ship' : 'shore' }))
  }, 400_000)
  afterAll(() => site?.close())

  /** Changes settings of a running daemon as an operator does: in its file, and with SIGHUP. */
  async function configure(at: number, change: Record<string, unknown>): Promise<void> {
    const daemon = site.daemons[at]!
    const file = join(site.box.dir, `${daemon.name}.yaml`)
    const before = daemon.log().split('configuration reloaded').length
    writeFileSync(file, stringify({ ...parse(readFileSync(file, 'utf8')), ...change }))
    daemon.kill('SIGHUP')
    await eventually('the reload', () => daemon.log().split('configuration reloaded').length > before)
  }
  const counter = (at: number, which: 'tx' | 'rx'): (() => number) => {
    const host = site.hosts[at]!
    return () => Number(host.run('cat', `/sys/class/net/eth0/statistics/${which}_bytes`))
  }
  /** Counts while `during` goes on; gives the most bytes a second over any time of a second or a little more. */
  async function fastest(count: () => number, during: Promise<unknown>): Promise<number> {
    let over = false
    void during.finally(() => {
      over = true
    })
    const samples: { at: number; bytes: number }[] = []
    while (!over) {
      samples.push({ at: performance.now(), bytes: count() })
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    await during
    let most = 0
    for (const from of samples) {
      const to = samples.find(({ at }) => at >= from.at + 1_000)
      if (to !== undefined) most = Math.max(most, ((to.bytes - from.bytes) / (to.at - from.at)) * 1_000)
    }
    return most
  }
  /** What is no chunk has no limit: probes and gossip, as much as in the busiest second while nothing was fetched. */
  const idleOf = (count: () => number): Promise<number> =>
    fastest(count, new Promise(resolve => setTimeout(resolve, IDLE)))
  const expectWithin = (rate: number, limit: number, idle: number): void => {
    const share = ((rate - idle) / limit).toFixed(3)
    console.log(
      `limit ${limit} bytes a second, the fastest second ${Math.round(rate)}, ${Math.round(idle)} idle: ${share}`,
    )
    expect(rate).toBeGreaterThan(limit * 0.3) // it was what held it up
    // Headers that nobody counted would be 2 to 7 % more, where a tenth is allowed.
    expect(rate - idle).toBeLessThanOrEqual(limit * 1.02)
  }
  const isFetched = async (at: number, image: string): Promise<void> => {
    const { code, stderr } = await fetchImage(site.daemons[at]!, image)
    expect(code, stderr).toBe(0)
  }

  test('takes no more than --upload-limit in any second on the way out, for all who fetch together', async () => {
    await configure(0, { uploadLimit: '400KiB' })
    const image = await site.build(0, 'up', noise(3))
    const idle = await idleOf(counter(0, 'tx'))
    const fetches = Promise.all([isFetched(1, image), isFetched(2, image)])
    expectWithin(await fastest(counter(0, 'tx'), fetches), 400 * KIB, idle)
    await configure(0, { uploadLimit: undefined })
  }, 600_000)

  test('takes no more than --download-limit in any second on the way in, and a changed one counts at once', async () => {
    const image = await site.build(0, 'down', noise(4))
    await configure(1, { downloadLimit: '100KiB' })
    const idle = await idleOf(counter(1, 'rx'))
    const fetched = isFetched(1, image)
    const slow = toHold(site.daemons[1]!, image, 0.2)
    expectWithin(await fastest(counter(1, 'rx'), slow), 100 * KIB, idle)
    await configure(1, { downloadLimit: '500KiB' })
    expectWithin(await fastest(counter(1, 'rx'), fetched), 500 * KIB, idle)
    await configure(1, { downloadLimit: undefined })
    expect(await verify(site.daemons[1]!, image)).toBe(0)
  }, 600_000)

  test('takes no more to and from a zone than its own limit, while others have what they like', async () => {
    await configure(0, { zoneUploadLimit: { ship: '100KiB' } })
    await configure(1, { zoneUploadLimit: { ship: '10kB' } })
    const image = await site.build(0, 'zone', noise(2))
    const idle = await idleOf(counter(2, 'rx'))
    const far = isFetched(2, image)
    const rate = fastest(counter(2, 'rx'), far)
    await isFetched(1, image)
    const { held, chunks } = (await heldOf(site.daemons[2]!, image)) ?? { held: 0, chunks: 1 }
    expect(held).toBeLessThan(chunks)
    expectWithin(await rate, 100 * KIB + 10_000, idle)
    await configure(0, { zoneUploadLimit: {} })
    await configure(1, { zoneUploadLimit: {} })
  }, 600_000)

  test('stops at the border where --zone-budget is spent, also after a restart, and goes on with more', async () => {
    const image = await site.build(0, 'budget', noise(2))
    const budget = 1024 * KIB
    await configure(2, { zoneBudget: `${budget}/24h` })
    const fetched = fetchImage(site.daemons[2]!, image)
    let stood = -1
    const stopped = async (): Promise<number> =>
      eventually(
        'it to get no further',
        async () => {
          const before = stood
          stood = (await heldOf(site.daemons[2]!, image))?.held ?? 0
          return stood > 0 && stood === before && stood
        },
        { seconds: 90, everyMs: 3_000 },
      )
    const held = await stopped()
    const { chunks } = (await heldOf(site.daemons[2]!, image))!
    expect(held).toBeLessThan(chunks * 0.6)
    await site.kill(2)
    await fetched
    await site.revive(2)
    const again = fetchImage(site.daemons[2]!, image)
    expect(await stopped()).toBeLessThanOrEqual(held + 2)
    await configure(2, { zoneBudget: '1GiB/24h' })
    expect((await again).code).toBe(0)
    expect(await verify(site.daemons[2]!, image)).toBe(0)
  }, 600_000)
})
