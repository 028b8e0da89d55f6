import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatToken, millis, parseToken } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { createWorld, type Host, type Lan, skipped, type World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { allSee, allSeeAlive, hostsOn, on, statuses } from './support.ts'

// None of these hosts has a default route: the LAN has no way out.

describe.skipIf(skipped('lan.test.ts'))('a LAN of five hosts, with no address given', () => {
  let world: World
  let lan: Lan
  let box: Sandbox
  let hosts: Host[]
  let daemons: Daemon[]
  let token: string

  const flags = ['--profile', 'lan']
  beforeAll(async () => {
    world = createWorld()
    lan = world.lan()
    box = await sandbox()
    hosts = hostsOn(world, lan, 5)
    const first = await box.start({ ...on(hosts[0]!), flags, mdns: true, init: true })
    const printed = await first.json<{ token: string }>('invite', '--ttl', '1h')
    token = formatToken({ ...parseToken(printed.token, millis(Date.now())), bootstrap: [] })
    daemons = [first]
    for (const host of hosts.slice(1)) daemons.push(await box.start({ ...on(host), flags, mdns: true, join: [token] }))
  }, 120_000)
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  test('finds itself by mDNS alone', () => allSeeAlive(daemons), 90_000)

  test('takes back a host whose interface was taken away and put in again', async () => {
    hosts[4]!.unplug('eth0')
    await allSee(daemons.slice(0, 4), { n0: 'alive', n1: 'alive', n2: 'alive', n3: 'alive', n4: 'failed' })
    hosts[4]!.plug(lan, 'eth0', ['10.77.0.5/24'])
    await allSeeAlive(daemons)
  }, 120_000)

  test.runIf(FULL)(
    'is found by a daemon that was started before its host had an interface',
    async () => {
      const late = world.host('late')
      const daemon = await box.start({ ...on(late), flags, mdns: true, join: [token] })
      expect(await statuses(daemon)).toEqual(new Map([['late', 'alive']]))
      late.plug(lan, 'eth0', ['10.77.0.6/24'])
      await allSeeAlive([...daemons, daemon])
      daemons.push(daemon)
    },
    120_000,
  )

  test('never admits a daemon of another fleet, which never learns of it', async () => {
    const theirs = await sandbox()
    try {
      const host = world.host('foreign')
      host.plug(lan, 'eth0', ['10.77.0.66/24'])
      const join = daemons.slice(0, 5).map((_, index) => `10.77.0.${index + 1}:7946`)
      const foreigner = await theirs.start({ ...on(host), flags, mdns: true, init: true, join })
      await eventually('the foreigner to have been turned away', () => /stranger|not admitted/i.test(foreigner.log()))
      expect(await statuses(foreigner)).toEqual(new Map([['foreign', 'alive']]))
      for (const daemon of daemons) expect([...(await statuses(daemon)).keys()]).not.toContain('foreign')
    } finally {
      await theirs.close()
    }
  }, 90_000)

  test.runIf(FULL)(
    'is found on each of two LANs by a host that is on both',
    async () => {
      const other = world.lan()
      hosts[0]!.plug(other, 'eth1', ['10.88.0.1/24'])
      const beyond = world.host('beyond')
      beyond.plug(other, 'eth0', ['10.88.0.2/24'])
      const daemon = await box.start({ ...on(beyond), flags, mdns: true, join: [token] })
      await eventually('both to see each other', async () => {
        const [near, far] = [await statuses(daemons[0]!), await statuses(daemon)]
        return near.get('beyond') === 'alive' && far.get('n0') === 'alive'
      })
    },
    90_000,
  )
})
