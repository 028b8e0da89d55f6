import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { allSee, allSeeAlive, fleetOn, hostsOn, statuses } from './support.ts'

describe.skipIf(skipped('address.test.ts'))('a host whose address changes', () => {
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

  const readdress = (host: Host, from: string, to: string): void => {
    host.run('ip', 'addr', 'del', from, 'dev', 'eth0')
    host.run('ip', 'addr', 'add', to, 'dev', 'eth0')
  }
  const allKnow = (name: string, address: string): Promise<unknown> =>
    eventually(`everybody to know ${name} at ${address}`, async () => {
      for (const daemon of daemons) {
        const { members } = await daemon.json<{ members: { name: string; addrs: string[] }[] }>('members')
        if (members.find(member => member.name === name)?.addrs.join() !== `/ip4/${address}/tcp/7946`) return false
      }
      return true
    })

  test('while its daemon runs is known at the new one', async () => {
    readdress(hosts[3]!, '10.77.0.4/24', '10.77.0.104/24')
    await allKnow('n3', '10.77.0.104')
    await allSeeAlive(daemons)
  }, 120_000)

  test.runIf(FULL)(
    'while its daemon is stopped is known at the new one when it comes back',
    async () => {
      const stopped = daemons[2]!
      stopped.kill('SIGTERM')
      await stopped.exited()
      await allSee(
        daemons.filter(daemon => daemon !== stopped),
        { n0: 'alive', n1: 'alive', n2: 'failed', n3: 'alive' },
      )
      readdress(hosts[2]!, '10.77.0.3/24', '10.77.0.103/24')
      daemons[2] = await stopped.restart()
      await allSeeAlive(daemons)
      await allKnow('n2', '10.77.0.103')
    },
    120_000,
  )

  test.runIf(FULL)(
    'is called at the new one by a daemon that was restarted and that nobody else can call or tell',
    async () => {
      const [caller, ...others] = daemons as [Daemon, ...Daemon[]]
      hosts[0]!.drop('tcp dport 7946')
      for (const daemon of [caller, others[0]!, others[1]!]) {
        daemon.kill('SIGTERM')
        await daemon.exited()
      }
      const restarted = await caller.restart()
      await eventually('n0 to see n3 alive', async () => (await statuses(restarted)).get('n3') === 'alive', {
        seconds: 60,
      })
      expect((await statuses(others[2]!)).get('n0')).toBe('alive')
    },
    120_000,
  )
})
