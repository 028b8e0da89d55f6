import { afterAll, describe, expect, test } from 'vitest'
import { type Sandbox, sandbox } from '../support/daemons.ts'
import { createWorld, skipped, type World } from '../support/netns.ts'
import { allSeeAlive, everFailed, fleetOn, hostsOn, lasting, passed } from './support.ts'

describe.skipIf(skipped('nat.test.ts'))('two hosts behind routers that translate addresses', () => {
  let world: World
  let box: Sandbox
  afterAll(async () => {
    await box?.close()
    world?.close()
  })

  test('are members like any other, at each other too, though nobody can call them', async () => {
    world = createWorld()
    box = await sandbox()
    const wan = world.lan()
    const hosts = hostsOn(world, wan, 3)
    for (const index of [3, 4]) {
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
      hosts.push(host)
    }
    const daemons = await fleetOn(box, hosts)
    await passed(lasting(60, 5))
    await allSeeAlive(daemons)
    for (const daemon of daemons) expect({ [daemon.name]: everFailed(daemon) }).toEqual({ [daemon.name]: [] })
  }, 180_000)
})
