import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundleDaemon } from '../../../build.mjs'
import type { Daemon } from '../../support/daemons.ts'
import { skipped } from '../../support/netns.ts'
import { eventually } from '../../support/wait.ts'
import { createSite, fetchImage, heldOf, noise, receivedOf, type Site, toHold, verify } from './support.ts'

// One peer among others that is slow, or that gives nothing: it costs the others little, and the slow one gets there.

const MIB = 12
/** What the link of the slow one carries, and what comes over it. Bytes a second, bytes. */
const RATE = 10_000
const SMALL = 600_000

describe.skipIf(skipped('slow-peers.long.ts'))('an image on its way to four receivers', () => {
  let site: Site
  let mute: Daemon
  let slow: Daemon
  let fast: readonly Daemon[]
  beforeAll(async () => {
    const program = resolve(import.meta.dirname, '../../../dist/test/mute-fleetd.js')
    await bundleDaemon(program, { 'daemon/images/upload.ts': 'test/process/images/mute-upload.ts' })
    site = await createSite(6, index => (index === 1 ? { program } : {}))
    mute = site.daemons[1]!
    slow = site.daemons[2]!
    fast = site.daemons.slice(3)
  }, 400_000)
  afterAll(() => site?.close())

  test('arrives though a peer that has all of it accepts every request and never answers one', async () => {
    const image = await site.build(0, 'mute', noise(MIB))
    expect((await fetchImage(mute, image)).code).toBe(0)
    for (const daemon of fast) expect(await fetchImage(daemon, image)).toMatchObject({ code: 0 })
    // Alone with it, a receiver gives it up, says so, and gets everything as soon as somebody else is there.
    const alone = fast.map(({ name }) => Number(name.slice(1)))
    site.part([2], [0, ...alone])
    const waiting = fetchImage(slow, image)
    const { held, chunks } = await toHold(slow, image, 0)
    expect(held).toBeLessThan(chunks)
    await eventually('the mute peer to be given up', () => slow.log().includes('it has sent nothing for 10 s'), {
      seconds: 60,
    })
    site.heal()
    expect(await waiting).toMatchObject({ code: 0 })
    expect(await verify(slow, image)).toBe(0)
    expect(mute.log()).not.toContain('a chunk that is asked for is damaged')
  }, 600_000)

  test('is with the fast ones while one of 10 KB/s has hardly begun, and comes to that one without being sent in vain', async () => {
    const before = slow.log().length
    site.hosts[2]!.rateBothWays('eth0', `${(8 * RATE) / 1_000}kbit`)
    const large = await site.build(0, 'large', noise(MIB))
    const small = await site.build(0, 'small', noise(1).subarray(0, SMALL))
    const start = performance.now()
    const slowly = fetchImage(slow, small)
    for (const { code, stderr } of await Promise.all(fast.map(daemon => fetchImage(daemon, large))))
      expect(code, stderr).toBe(0)
    const { held = 0, chunks = 1 } = (await heldOf(slow, small)) ?? {}
    expect(held).toBeLessThan(chunks)
    for (const daemon of fast) expect((await fetchImage(daemon, small)).code).toBe(0)
    const { code, stderr } = await slowly
    expect(code, stderr).toBe(0)
    const seconds = (performance.now() - start) / 1_000
    const received = await receivedOf(slow, small)
    console.log(`the slow one received ${received} bytes for ${SMALL} in ${seconds.toFixed(1)} s`)
    expect(received).toBeLessThanOrEqual(1.1 * SMALL)
    // Probes and gossip of six daemons, and headers, go over it as well.
    expect(seconds).toBeLessThanOrEqual((2 * SMALL) / RATE)
    const logs = [slow.log().slice(before), ...[site.daemons[0]!, ...fast].map(daemon => daemon.log())]
    for (const log of logs) expect(log).not.toContain('is given up')
  }, 600_000)
})
