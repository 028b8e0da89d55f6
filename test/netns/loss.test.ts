import { afterAll, describe, expect, test } from 'vitest'
import { type Sandbox, sandbox } from '../support/daemons.ts'
import { createWorld, skipped, type World } from '../support/netns.ts'
import { allSeeAlive, everFailed, fleetOn, hostsOn, lasting, passed } from './support.ts'

describe.skipIf(skipped('loss.test.ts'))('a network that loses 30 of 100 packets', () => {
  let world: World
  let box: Sandbox
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  const seconds = lasting(300, 10)
  test(`for ${seconds} s costs nobody its place`, async () => {
    world = createWorld()
    box = await sandbox()
    const hosts = hostsOn(world, world.lan(), 4)
    const daemons = await fleetOn(box, hosts)
    for (const host of hosts) host.lose(30)
    await passed(seconds)
    for (const daemon of daemons) expect({ [daemon.name]: everFailed(daemon) }).toEqual({ [daemon.name]: [] })
    for (const host of hosts) host.hearAll()
    await allSeeAlive(daemons)
  }, 500_000)
})
