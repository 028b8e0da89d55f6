import { expect, test } from 'vitest'
import { loadConfig } from '../../../daemon/config/index.ts'
import { instancesOf, type ServicesConfig, scrapeTargets } from '../../../daemon/services/index.ts'
import { createServices, type LayerCondition } from '../../../daemon/services/services.ts'
import type { Address } from '../../../protocol/index.ts'
import { member } from '../handlers/support.ts'

const WEB = { port: 8080, protocol: 'tcp' as const, weight: 10, drain: 10, checks: [] } satisfies Partial<
  ServicesConfig[string]
>
const services = (layer: () => LayerCondition | undefined) =>
  createServices({
    config: { web: { ...WEB, layer: 'app' }, ntp: { ...WEB, port: 123, protocol: 'udp' } },
    layer,
    setting: { cwd: '/', env: {} },
    onChange: () => undefined,
  })

test('a service is as well as its layer, and nobody is sent to one whose layer is about to stop', () => {
  let layer: LayerCondition | undefined
  const { states, offered } = services(() => layer)
  const web = (): unknown => states()![0]
  expect(offered).toEqual([
    { name: 'web', port: 8080, protocol: 'tcp' },
    { name: 'ntp', port: 123, protocol: 'udp' },
  ])
  expect(web()).toEqual({ name: 'web', health: 'unknown', weight: 10 })
  layer = { health: 'passing', state: 'waiting' }
  expect(web()).toEqual({ name: 'web', health: 'passing', weight: 10 })
  for (const state of ['draining', 'starting', 'reverting'] as const) {
    layer = { health: 'passing', state }
    expect(web()).toEqual({ name: 'web', health: 'passing', weight: 0 })
  }
  layer = { health: 'failing', state: 'verifying' }
  expect(web()).toEqual({ name: 'web', health: 'failing', weight: 10 })
  // It hangs on no layer.
  expect(states()![1]).toEqual({ name: 'ntp', health: 'passing', weight: 10 })
})

test('who stops a layer waits until nobody is sent to its services, and for no other', async () => {
  const { quiesce } = services(() => undefined)
  await quiesce('base', AbortSignal.timeout(0))
  await quiesce('app', new AbortController().signal)
  await expect(quiesce('app', AbortSignal.abort())).rejects.toThrow()
})

test('a host with no services says nothing of them', () => {
  const none = createServices({
    config: {},
    layer: () => undefined,
    setting: { cwd: '/', env: {} },
    onChange: () => undefined,
  })
  expect([none.offered, none.states()]).toEqual([undefined, undefined])
})

const offering = (name: string, change: object = {}) =>
  member(name, {
    addresses: ['/dns4/x.example/tcp/1', '/ip4/192.0.2.1/tcp/7946', '/ip6/2001:db8::1/tcp/7946'] as Address[],
    services: [{ name: 'web', port: 80, protocol: 'tcp', health: 'passing', weight: 1 }],
    tags: { 'rack-no': '7' },
    ...change,
  })

test('an instance is available when its node is there, it is well, and it is not about to stop', () => {
  const state = { name: 'web', port: 80, protocol: 'tcp', health: 'passing', weight: 1 }
  const available = instancesOf([
    offering('a'),
    offering('b', { status: 'failed' }),
    offering('c', { services: [{ ...state, weight: 0 }] }),
    offering('d', { services: [{ ...state, health: 'unknown' }] }),
    offering('e', { status: 'left' }),
    offering('f', { services: [] }),
  ]).map(({ nodeName, available }) => [nodeName, available])
  expect(available).toEqual([
    ['a', true],
    ['b', false],
    ['c', false],
    ['d', false],
  ])
})

test('Prometheus is told the first address of each, and labels that it accepts', () => {
  const [only] = scrapeTargets(instancesOf([offering('a')]))
  expect(only!.targets).toEqual(['192.0.2.1:80'])
  expect(only!.labels).toMatchObject({
    __meta_fleet_service: 'web',
    __meta_fleet_node: 'a',
    __meta_fleet_tag_rack_no: '7',
  })
  const six = offering('b', { addresses: ['/ip6/2001:db8::1/tcp/7946'] })
  expect(scrapeTargets(instancesOf([six]))[0]!.targets).toEqual(['[2001:db8::1]:80'])
  expect(scrapeTargets(instancesOf([offering('c', { addresses: ['/dns4/x.example/tcp/1'] })]))).toEqual([])
})

test('a service of a layer that the host does not have is a mistake', async () => {
  const wrong = loadConfig([], { FLEETD_CONFIG: `${import.meta.dirname}/wrong.yaml` }, '1')
  await expect(wrong).rejects.toThrow('services.web.layer: this host has no layer "app"; its layers are none')
})
