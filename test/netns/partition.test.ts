import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { addressOf, allSee, allSeeAlive, everFailed, fleetOn, hostsOn, lasting, passed, statuses } from './support.ts'

describe.skipIf(skipped('partition.test.ts'))('four hosts on one network', () => {
  let world: World
  let box: Sandbox
  let hosts: Host[]
  let daemons: Daemon[]

  beforeAll(async () => {
    world = createWorld()
    box = await sandbox()
    hosts = hostsOn(world, world.lan(), 4)
    daemons = await fleetOn(box, hosts, FULL ? {} : { flags: ['--profile', 'local'] })
  }, 120_000)
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  test('a host that does not hear one of the others, though that one hears it, loses nobody', async () => {
    hosts[0]!.deafTo(addressOf(1))
    await passed(lasting(30, 6))
    for (const daemon of daemons) expect(everFailed(daemon)).toEqual([])
    hosts[0]!.hearAll()
    await allSeeAlive(daemons)
  }, 120_000)

  test('a link that flaps, two seconds off and four seconds on, loses nobody for long', async () => {
    for (let round = 0; round < lasting(4, 1); round++) {
      hosts[3]!.cable('eth0', 'down')
      await passed(2)
      hosts[3]!.cable('eth0', 'up')
      await passed(4)
    }
    await allSeeAlive(daemons)
    for (const daemon of daemons) expect([...(await statuses(daemon)).values()]).not.toContain('failed')
  }, 120_000)

  const seconds = lasting(60, 12)
  test(`two and two that were cut apart for ${seconds} s come together by themselves`, async () => {
    const halves = [
      [0, 1],
      [2, 3],
    ] as const
    for (const [mine, theirs] of [halves, [...halves].reverse()] as const)
      for (const index of mine!) hosts[index]!.deafTo(...theirs!.map(addressOf))
    await passed(seconds)
    // A slice of the time is enough to doubt a half, not to be sure.
    const lost = FULL ? ['failed'] : ['failed', 'suspect']
    for (const half of halves)
      await allSee(
        half.map(index => daemons[index]!),
        Object.fromEntries(
          daemons.map(({ name }, index) => [name, half.some(own => own === index) ? ['alive'] : lost]),
        ),
      )
    for (const host of hosts) host.hearAll()
    await allSeeAlive(daemons, 90)
  }, 240_000)
})
