import { spawn } from 'node:child_process'
import { afterAll, describe, expect, test } from 'vitest'
import { type Sandbox, sandbox } from '../support/daemons.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { allSee, allSeeAlive, hostsOn, lasting, on, passed } from './support.ts'

/** What leaves by an interface for a single host, or asks who that host is. Multicast stays on the link. */
const OUTWARD = '(arp or (ip and not dst net 224.0.0.0/4) or (ip6 and not dst net ff00::/8))'

async function capture(host: Host, iface: string): Promise<{ packets(): string[]; stop(): void }> {
  const [program, ...args] = [...host.within, 'tcpdump', '-l', '-n', '-Q', 'out', '-i', iface, OUTWARD]
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  await eventually('tcpdump to listen', () => err.includes('listening on'), { seen: () => err })
  return { packets: () => out.split('\n').filter(Boolean), stop: () => void child.kill('SIGTERM') }
}

describe.skipIf(skipped('lan-only.test.ts'))('with --lan-only', () => {
  let world: World
  let box: Sandbox
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  test('no packet leaves towards the internet, whatever peers say of themselves', async () => {
    world = createWorld()
    box = await sandbox()
    const hosts = hostsOn(world, world.lan(), 3)
    const internet = world.lan()
    for (const [index, host] of hosts.slice(0, 2).entries()) {
      host.plug(internet, 'inet0', [`198.51.100.${index + 1}/24`, `2001:db8::${index + 1}/64`])
      host.run('ip', 'route', 'add', 'default', 'via', '198.51.100.254')
      host.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::fe')
    }
    const captures = [await capture(hosts[0]!, 'inet0'), await capture(hosts[1]!, 'inet0')]
    const everything = captures.flatMap(({ packets }) => packets)

    const lanOnly = ['--profile', 'local', '--lan-only']
    const first = await box.start({ ...on(hosts[0]!), init: true, mdns: true, flags: lanOnly })
    const { token } = await first.json<{ token: string }>('invite', '--ttl', '1h')
    const outside = ['198.51.100.9:7946', '203.0.113.9:7946', '[2001:db8::9]:7946', 'fleet.example.com:7946']
    const second = await box.start({
      ...on(hosts[1]!),
      join: [token, ...outside],
      mdns: true,
      flags: lanOnly,
    })
    const boaster = await box.start({
      ...on(hosts[2]!),
      join: [token],
      flags: ['--profile', 'local', ...outside.flatMap(address => ['--advertise', address])],
    })
    await allSeeAlive([first, second, boaster])
    const { members } = await first.json<{ members: { name: string; addrs: string[] }[] }>('members')
    const addresses = new Map(members.map(({ name, addrs }) => [name, addrs]))
    expect(addresses.get('n0')).toEqual(['/ip4/10.77.0.1/tcp/7946'])
    expect(addresses.get('n1')).toEqual(['/ip4/10.77.0.2/tcp/7946'])
    expect(addresses.get('n2')).toContain('/ip4/203.0.113.9/tcp/7946')

    // Gone, it is called again and again, at the addresses that it gave.
    boaster.kill('SIGKILL')
    await allSee([first, second], { n0: 'alive', n1: 'alive', n2: 'failed' })
    await eventually('both to have wanted to call it', () =>
      [first, second].every(daemon => /"peer":"[^"]+","addresses":\[[^\]]*203\.0\.113\.9/.test(daemon.log())),
    )
    await passed(lasting(30, 2))
    expect(everything.flatMap(packets => packets())).toEqual([])

    // The captures would have seen one.
    for (const host of hosts.slice(0, 2)) host.run('bash', '-c', 'echo > /dev/udp/203.0.113.9/9')
    await eventually('both captures to see a datagram that asks for its router', () =>
      everything.every(packets => packets().length > 0),
    )
    for (const { stop } of captures) stop()
  }, 180_000)
})
