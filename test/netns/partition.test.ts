import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { addressOf, allSee, allSeeAlive, everFailed, fleetOn, hostsOn, passed, statuses } from './support.ts'

describe.skipIf(skipped('partition.test.ts'))('four hosts on one network', () => {
  let world: World
  let box: Sandbox
  let hosts: Host[]
  let daemons: Daemon[]

  beforeAll(async () => {
    world = createWorld()
    box = await sandbox()
    hosts = hostsOn(world, world.lan(), 4)
    daemons = await fleetOn(box, hosts)
  }, 120_000)
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  test('a host that does not hear one of the others, though that one hears it, loses nobody', async () => {
    hosts[0]!.deafTo(addressOf(1))
    await passed(30)
    for (const daemon of daemons) expect(everFailed(daemon)).toEqual([])
    hosts[0]!.hearAll()
    await allSeeAlive(daemons)
  }, 120_000)

  test('a link that flaps, two seconds off and four seconds on, loses nobody for long', async () => {
    for (let round = 0; round < 4; round++) {
      hosts[3]!.cable('eth0', 'down')
      await passed(2)
      hosts[3]!.cable('eth0', 'up')
      await passed(4)
    }
    await allSeeAlive(daemons)
    for (const daemon of daemons) expect([...(await statuses(daemon)).values()]).not.toContain('failed')
  }, 120_000)

  test('two and two that were cut apart for a minute come together by themselves', async () => {
    const halves = [
      [0, 1],
      [2, 3],
    ] as const
    for (const [mine, theirs] of [halves, [...halves].reverse()] as const)
      for (const index of mine!) hosts[index]!.deafTo(...theirs!.map(addressOf))
    const cutAt = Date.now()
    await Promise.all([
      allSee([daemons[0]!, daemons[1]!], { n0: 'alive', n1: 'alive', n2: 'failed', n3: 'failed' }),
      allSee([daemons[2]!, daemons[3]!], { n0: 'failed', n1: 'failed', n2: 'alive', n3: 'alive' }),
    ])
    await passed(Math.max(0, 60 - (Date.now() - cutAt) / 1000))
    for (const host of hosts) host.hearAll()
    await allSeeAlive(daemons, 90)
  }, 240_000)
})
