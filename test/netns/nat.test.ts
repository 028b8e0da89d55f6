import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { createWorld, type Host, type Lan, skipped, type World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { allSee, allSeeAlive, everFailed, fleetOn, hostsOn, lasting, passed, statuses } from './support.ts'

const IMAGE = 4 * 2 ** 20

describe.skipIf(skipped('nat.test.ts'))(
  'two hosts behind routers of their own, and two that everybody can dial',
  () => {
    let world: World
    let box: Sandbox
    /** Two that everybody can dial, and two that nobody can. */
    let daemons: [Daemon, Daemon, Daemon, Daemon]

    beforeAll(async () => {
      world = createWorld()
      box = await sandbox()
      const wan = world.lan()
      const hosts = [...hostsOn(world, wan, 2), behindRouter(world, wan, 2), behindRouter(world, wan, 3)]
      const app = { driver: 'process', command: ['sleep', '3600'] }
      daemons = (await fleetOn(box, hosts, { group: 'web', layers: { app } })) as typeof daemons
    }, 120_000)
    afterAll(async () => {
      await box?.close()
      world?.close()
    })

    const addressesOf = async (name: string): Promise<readonly string[]> => {
      const { members } = await daemons[0].json<{ members: { name: string; addrs: string[] }[] }>('members')
      return members.find(member => member.name === name)?.addrs ?? []
    }
    const linked = (one: Daemon, other: Daemon): boolean =>
      /"direction":"(in|out)bound"/.test(
        one
          .log()
          .split('\n')
          .filter(line => line.includes('peer admitted') && line.includes(idOf(other)))
          .join('\n'),
      )

    const relays = (): string[] =>
      daemons.slice(0, 2).map((relay, index) => `/ip4/10.77.0.${index + 1}/tcp/7946/p2p/${idOf(relay)}/p2p-circuit`)

    test('are found through those, and connected to each other', async () => {
      for (const [name, own] of [
        ['n2', '/ip4/192.168.2.2/tcp/7946'],
        ['n3', '/ip4/192.168.3.2/tcp/7946'],
      ] as const)
        await eventually(
          `${name} to be found through both`,
          async () => (await addressesOf(name)).toSorted().join() === [own, ...relays()].toSorted().join(),
        )
      expect((await addressesOf('n0')).join()).toBe('/ip4/10.77.0.1/tcp/7946')
      await eventually(
        'the two to admit each other',
        () => linked(daemons[2], daemons[3]) && linked(daemons[3], daemons[2]),
      )
    }, 90_000)

    test('answer each other without the help of gossip', async () => {
      const { code, stdout, stderr } = await daemons[2].ctl('--format', 'json', '--timeout', '3s', 'query', 'who')
      expect(code, stderr).toBe(0)
      const acks = stdout.split('\n').filter(line => line.includes('"ack"'))
      expect(acks.map(line => (JSON.parse(line) as { name: string }).name).sort()).toEqual(['n0', 'n1', 'n2', 'n3'])
      expect(daemons[3].log()).not.toContain('goes along the overlay')
    }, 60_000)

    test('give each other images, which those between never have', async () => {
      writeFileSync(join(box.dir, 'disk.img'), randomBytes(IMAGE))
      const image = [join(box.dir, 'disk.img'), '--name', 'disk', '--version', '1', '--kind', 'file']
      const { digest } = await daemons[2].json<{ digest: string }>('image', 'build', ...image)
      const fetched = await daemons[3].ctl('--timeout', '60s', 'image', 'fetch', digest)
      expect(fetched.code, fetched.stderr).toBe(0)
      const { peers } = await daemons[3].json<{ peers: { name: string; bytes: number }[] }>('image', 'peers', digest)
      expect(peers.filter(({ bytes }) => bytes > 0).map(({ name, bytes }) => `${name} ${bytes}`)).toEqual([
        `n2 ${IMAGE}`,
      ])
    }, 90_000)

    test('are brought to an image by a rollout, one at a time, that one of them begins', async () => {
      const dir = join(box.dir, 'app')
      mkdirSync(dir)
      writeFileSync(join(dir, 'assets.bin'), randomBytes(IMAGE))
      await daemons[2].json('image', 'build', dir, '--name', 'app', '--version', '1')
      const how = ['--max-unavailable', '1', '--min-healthy', '200ms', '--deadline', '30s', '--reason', 'test']
      const started = [
        'rollout',
        'start',
        '--layer',
        'app',
        '--group',
        'web',
        '--image',
        'app:1',
        '--strategy',
        'rolling',
      ]
      const result = await daemons[2].ctl('--timeout', '90s', ...started, ...how)
      expect(result.code, `${result.stderr}${result.stdout}`).toBe(0)
    }, 120_000)

    test('lose nobody meanwhile, and are not lost', async () => {
      await passed(lasting(60, 0))
      await allSeeAlive(daemons)
      for (const daemon of daemons) expect({ [daemon.name]: everFailed(daemon) }).toEqual({ [daemon.name]: [] })
    }, 120_000)

    test.runIf(FULL)(
      'are still connected when one of those is gone for good',
      async () => {
        daemons[0].kill('SIGKILL')
        await allSee(daemons.slice(1), { n0: 'failed', n1: 'alive', n2: 'alive', n3: 'alive' })
        writeFileSync(join(box.dir, 'disk.img'), randomBytes(IMAGE))
        const image = [join(box.dir, 'disk.img'), '--name', 'disk', '--version', '2', '--kind', 'file']
        const { digest } = await daemons[3].json<{ digest: string }>('image', 'build', ...image)
        const fetched = await daemons[2].ctl('--timeout', '60s', 'image', 'fetch', digest)
        expect(fetched.code, fetched.stderr).toBe(0)
        expect((await statuses(daemons[2])).get('n3')).toBe('alive')
      },
      180_000,
    )
  },
)

const idOf = (daemon: Daemon): string => /"id":"(12D3Koo[^"]+)"/.exec(daemon.log())![1]!

/** A host at 192.168.N.2, which nobody outside can dial, and its router at 10.77.0.(N + 1). */
function behindRouter(world: World, wan: Lan, index: number): Host {
  const home = world.lan()
  const router = world.host(`router${index}`)
  router.plug(wan, 'wan', [`10.77.0.${index + 1}/24`])
  router.plug(home, 'home', [`192.168.${index}.1/24`])
  router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  router.run('nft', 'add table ip nat')
  router.run('nft', 'add chain ip nat post { type nat hook postrouting priority 100; }')
  router.run('nft', 'add rule ip nat post oifname "wan" masquerade')
  const host = world.host(`n${index}`)
  host.plug(home, 'eth0', [`192.168.${index}.2/24`])
  host.run('ip', 'route', 'add', 'default', 'via', `192.168.${index}.1`)
  return host
}
