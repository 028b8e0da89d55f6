import { Resolver } from 'node:dns/promises'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import type { MemberView, ServiceInstance } from '../../protocol/index.ts'
import { documentedMetrics } from '../docs/metrics.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { fetchFrom } from '../support/http.ts'
import { eventually } from '../support/wait.ts'

let box: Sandbox
let first: Daemon
let second: Daemon

beforeAll(async () => {
  box = await sandbox()
  const config = join(box.dir, 'services.yaml')
  // One that is well while a file is there, and one that has no layer and no check.
  const check = { name: 'there', exec: `test -e ${box.dir}/well`, interval: '50ms', failures: 1 }
  writeFileSync(join(box.dir, 'well'), '')
  writeFileSync(
    config,
    stringify({ services: { shop: { port: 8080, weight: 7, checks: [check] }, ntp: { port: 123, protocol: 'udp' } } }),
  )
  ;[first, second] = (await box.fleet(2, index => ({
    group: 'web',
    flags: index === 0 ? ['--dns', '127.0.0.1:0'] : ['--config', config],
  }))) as [Daemon, Daemon]
})
afterAll(() => box.close())

test('a daemon gives the metrics that are documented, and no other', async () => {
  const { status, body } = await fetchFrom(first.socket, '/metrics')
  expect(status).toBe(200)
  const help = new Map([...body.matchAll(/^# HELP (\w+) (.+)$/gm)].map(([, name, text]) => [name, text]))
  const type = new Map([...body.matchAll(/^# TYPE (\w+) (.+)$/gm)].map(([, name, text]) => [name, text]))
  const documented = documentedMetrics()
  expect([...help.keys()].sort()).toEqual([...documented.keys()].sort())
  for (const [name, metric] of documented) {
    expect([type.get(name), help.get(name)], name).toEqual([metric.type, metric.help])
    const samples = [...body.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))]
    for (const [, labels = '', value] of samples) {
      expect([...labels.matchAll(/(\w+)="/g)].map(([, label]) => label).sort(), name).toEqual([...metric.labels].sort())
      expect(Number(value), name).not.toBeNaN()
    }
    if (!name.startsWith('fleet_rollout_')) expect(samples.length, name).toBeGreaterThan(0)
  }
  expect(body).toContain('fleet_members{status="alive"} ')
})

test('what one daemon offers is seen on another: in the API, for Prometheus, and that it is well no more', async () => {
  const shop = async (): Promise<ServiceInstance | undefined> =>
    (await first.json<{ services: ServiceInstance[] }>('services', 'shop')).services[0]
  // What gossip loses comes with the next comparison, within half a minute.
  const patience = { seconds: 50 }
  const seen = await eventually(
    'the shop to be well',
    async () => {
      const found = await shop()
      return found?.available === true && found
    },
    patience,
  )
  expect(seen).toMatchObject({
    service: 'shop',
    nodeName: second.name,
    port: 8080,
    protocol: 'tcp',
    weight: 7,
    addresses: ['127.0.0.1'],
  })
  const { members } = await first.json<{ members: MemberView[] }>('members', '--name', second.name)
  expect(members[0]!.services.map(({ name }) => name)).toEqual(['shop', 'ntp'])
  const found = await fetchFrom(first.socket, '/v1/sd/prometheus')
  expect(found.type).toContain('application/json')
  expect(JSON.parse(found.body)).toMatchObject([
    { targets: ['127.0.0.1:8080'], labels: { __meta_fleet_service: 'shop', __meta_fleet_node: second.name } },
  ])
  const resolver = new Resolver()
  resolver.setServers([/DNS is served on (127\.0\.0\.1:\d+)/.exec(first.log())![1]!])
  expect(await resolver.resolve4('shop.service.fleet')).toEqual(['127.0.0.1'])
  expect(await resolver.resolve4(`${second.name}.node.fleet`)).toEqual(['127.0.0.1'])
  const [srv] = await resolver.resolveSrv('_shop._tcp.service.fleet')
  expect(srv).toMatchObject({ port: 8080, weight: 7 })
  rmSync(join(box.dir, 'well'))
  await eventually('the shop to be seen failing', async () => (await shop())?.health === 'failing', patience)
  expect((await shop())!.available).toBe(false)
  await expect(resolver.resolve4('shop.service.fleet')).rejects.toMatchObject({ code: 'ENODATA' })
}, 120_000)
