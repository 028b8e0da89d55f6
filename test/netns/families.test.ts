import { afterEach, describe, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { allSeeAlive, everFailed, fleetOn, passed } from './support.ts'

describe.skipIf(skipped('families.test.ts'))('a network', () => {
  let world: World | undefined
  let box: Sandbox | undefined
  afterEach(async () => {
    await box?.close()
    world?.close()
  })

  /** A fleet on one LAN, with a host for each list of addresses. */
  async function fleet(...addresses: readonly (readonly string[])[]): Promise<{ hosts: Host[]; daemons: Daemon[] }> {
    world = createWorld()
    box = await sandbox()
    const lan = world.lan()
    const hosts = addresses.map((own, index) => {
      const host = world!.host(`n${index}`)
      host.plug(lan, 'eth0', own)
      return host
    })
    return { hosts, daemons: await fleetOn(box, hosts) }
  }

  test('of IPv6 alone carries a fleet, and nobody tells an IPv4 address', async () => {
    const { daemons } = await fleet(['fd77::1/64'], ['fd77::2/64'], ['fd77::3/64'])
    const { members } = await daemons[1]!.json<{ members: { addrs: string[] }[] }>('members')
    expect(members.map(({ addrs }) => addrs.join()).sort()).toEqual(
      [1, 2, 3].map(index => `/ip6/fd77::${index}/tcp/7946`),
    )
  }, 120_000)

  test.runIf(FULL)(
    'of both families goes on when either is cut',
    async () => {
      const { hosts, daemons } = await fleet(
        ['10.77.0.1/24', 'fd77::1/64'],
        ['10.77.0.2/24', 'fd77::2/64'],
        ['10.77.0.3/24', 'fd77::3/64'],
      )
      for (const cut of ['10.77.0.0/24', 'fd77::/64']) {
        for (const host of hosts) host.deafTo(cut)
        // Long enough for what relied on the family to have been noticed as dead.
        await passed(10)
        await allSeeAlive(daemons)
        for (const host of hosts) host.hearAll()
      }
    },
    180_000,
  )

  test.runIf(FULL)(
    'where one host has IPv4 alone, one IPv6 alone and two have both loses neither',
    async () => {
      const { daemons } = await fleet(
        ['10.77.0.1/24', 'fd77::1/64'],
        ['10.77.0.2/24', 'fd77::2/64'],
        ['10.77.0.3/24'],
        ['fd77::4/64'],
      )
      await passed(20)
      await allSeeAlive(daemons)
      for (const daemon of daemons) expect(everFailed(daemon)).toEqual([])
    },
    180_000,
  )
})
