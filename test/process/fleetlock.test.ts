import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { disruptions } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'

// What Zincati would ask of the daemon on its host, of three hosts with a budget of one.

let box: Sandbox
let hosts: Daemon[]
const sick = (at: number): string => join(box.dir, `n${at}.sick`)

beforeAll(async () => {
  box = await sandbox()
  hosts = await box.fleet(3, at => ({
    group: 'web',
    flags: ['--fleetlock', '127.0.0.1:0'],
    layers: {
      app: {
        driver: 'process',
        command: ['sleep', '3600'],
        stopTimeout: '1s',
        checks: [{ name: 'well', exec: `test ! -e ${sick(at)}`, interval: '100ms', timeout: '5s', failures: 1 }],
      },
    },
  }))
  for (const version of ['v1', 'v2']) {
    const dir = join(box.dir, version)
    mkdirSync(dir)
    writeFileSync(join(dir, 'version'), version)
    await hosts[0]!.json('image', 'build', dir, '--name', 'shop', '--version', version)
  }
}, 90_000)
afterAll(() => box?.close())

interface Answer {
  status: number
  kind?: string
  value?: string
}

async function ask(
  at: number,
  what: 'pre-reboot' | 'steady-state',
  id = `zincati-${at}`,
  { group = 'web', headers = { 'fleet-lock-protocol': 'true' } as Record<string, string> } = {},
): Promise<Answer> {
  const served = /FleetLock is served at (http:\/\/[\d.:]+)/g
  const base = [...hosts[at]!.log().matchAll(served)].at(-1)![1]
  const response = await fetch(`${base}/v1/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ client_params: { id, group } }),
  })
  const text = await response.text()
  return { status: response.status, ...(text === '' ? {} : JSON.parse(text)) }
}

const held = async (): Promise<string[]> => {
  const { permits } = await hosts[0]!.json<{ permits: { name: string; kind: string }[] }>('ledger', 'show', 'web')
  return permits.map(({ name, kind }) => `${name} ${kind}`)
}
const start = (version: string, ...flags: string[]) =>
  hosts[0]!.ctl(
    ...['rollout', 'start', '--group', 'web', '--layer', 'app', '--image', `shop:${version}`],
    ...['--min-healthy', '100ms', '--deadline', '20s', '--timeout', '60s', ...flags],
  )

test('a host restarts under a permit of its group, one at a time while no plan says otherwise, and holds it until it is back', async () => {
  expect(await ask(0, 'steady-state')).toEqual({ status: 200 })
  expect(await ask(0, 'pre-reboot')).toEqual({ status: 200 })
  expect(await ask(0, 'pre-reboot')).toEqual({ status: 200 })
  expect(await held()).toEqual(['n0 reboot'])
  expect(await ask(1, 'pre-reboot')).toMatchObject({
    status: 409,
    kind: 'conflict',
    value: expect.stringContaining('the budget is 1'),
  })
  expect(await ask(0, 'pre-reboot', 'another')).toMatchObject({ status: 409, value: expect.stringMatching(/reboot/) })
  hosts[0] = await hosts[0]!.restart()
  expect(await ask(0, 'steady-state', 'another')).toEqual({ status: 200 })
  expect(await held()).toEqual(['n0 reboot'])
  expect(await ask(0, 'steady-state')).toEqual({ status: 200 })
  expect(await held()).toEqual([])
  // It may not have heard yet that the first is up again; until then it is right to refuse.
  await eventually('the second to be let', async () => (await ask(1, 'pre-reboot')).status === 200)
  expect(await ask(1, 'steady-state')).toEqual({ status: 200 })
}, 60_000)

test('a rollout and a restart share the budget: nobody is replaced beside a host that restarts, and none restarts under a rollout', async () => {
  expect((await start('v1', '--strategy', 'at-once')).code).toBe(0)
  expect(await ask(1, 'pre-reboot')).toEqual({ status: 200 })
  expect(await ask(2, 'pre-reboot')).toMatchObject({ status: 409, value: expect.stringContaining('the budget is 1') })
  const watched = disruptions(hosts)
  watched.forget()
  expect((await start('v2', '--detach')).code).toBe(0)
  await eventually('the others to wait', async () => {
    const { reason } = await hosts[0]!.json<{ reason: string }>('rollout', 'explain', 'n0')
    return /1 of 1 permits are held/.test(reason)
  })
  expect(await ask(2, 'pre-reboot')).toMatchObject({ status: 409, value: expect.stringContaining('is rolling') })
  expect(watched.list()).toEqual([])
  expect(await held()).toEqual(['n1 reboot'])
  writeFileSync(sick(1), '')
  await eventually('the host not to be well', async () => {
    const { members } = await hosts[1]!.json<{ members: { name: string; health: string }[] }>('members')
    return members.some(({ name, health }) => name === 'n1' && health === 'failing')
  })
  expect(await ask(1, 'steady-state')).toMatchObject({
    status: 503,
    value: expect.stringMatching(/layer app .* not well/),
  })
  expect(await held()).toEqual(['n1 reboot'])
  rmSync(sick(1))
  await eventually('the host to be well', async () => (await ask(1, 'steady-state')).status === 200)
  await eventually(
    'the rollout to be done',
    async () => (await hosts[0]!.json<{ phase: string }>('rollout', 'status', '--group', 'web')).phase === 'done',
    { seconds: 60 },
  )
  expect(watched.list()).toHaveLength(3)
}, 90_000)

test('what is not the protocol is refused with a reason, and nothing is held for it', async () => {
  expect(await ask(2, 'pre-reboot', 'x', { headers: {} })).toMatchObject({ status: 400, kind: 'bad_input' })
  expect(await ask(2, 'pre-reboot', 'x', { group: 'default' })).toMatchObject({
    status: 400,
    value: expect.stringMatching(/of group web, not default/),
  })
  expect(await ask(2, 'pre-reboot', '')).toMatchObject({
    status: 400,
    value: expect.stringContaining('client_params.id'),
  })
  const headers = { 'fleet-lock-protocol': 'true', origin: 'http://evil.example' }
  expect(await ask(2, 'pre-reboot', 'x', { headers })).toMatchObject({ status: 403, kind: 'unauthorized' })
  expect(await held()).toEqual([])
}, 30_000)
