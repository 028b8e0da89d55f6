import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Millis } from '../../protocol/index.ts'
import { type Fake, member, nodeId } from '../daemon/api/fake-service.ts'
import { type Bench, bench } from './support.ts'

let ctl: Bench
let fake: Fake
beforeAll(async () => {
  ctl = await bench()
})
beforeEach(async () => {
  fake = await ctl.claimed()
})
afterAll(() => ctl.close())

const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url')
const linesOf = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)

test('query passes its filters on, and prints each answer and the totals', async () => {
  fake.answers = [
    { type: 'ack', node: nodeId(), name: 'beta', payload: '' },
    { type: 'response', node: nodeId(), name: 'beta', payload: base64url('up \u001b[2J3 days\n') },
  ]
  const { code, stdout } = await ctl.run([
    ...['query', 'uptime', 'now', '--node', 'beta', '--node', 'gamma', '--tag', 'role=d.', '--group', 'web'],
    ...['--zone', 'z1', '--timeout', '15s'],
  ])
  expect(code).toBe(0)
  expect(stdout).toBe('Ack from beta\nResponse from beta: up  [2J3 days\nTotal acks: 1\nTotal responses: 1\n')
  expect(fake.asked).toEqual([
    {
      name: 'uptime',
      payload: Uint8Array.from(Buffer.from('now')),
      nodes: ['beta', 'gamma'],
      tags: { role: 'd.' },
      groups: ['web'],
      zones: ['z1'],
      ack: true,
      timeoutMs: 15_000,
    },
  ])
  await ctl.run(['query', 'uptime', '--no-ack'])
  expect(fake.asked[1]).toMatchObject({ ack: false, timeoutMs: 0, nodes: [] })
})

test('query for programs is an object a line, with payloads that are no text in base64', async () => {
  fake.answers = [
    { type: 'response', node: nodeId(), name: 'beta', payload: base64url('text') },
    { type: 'response', node: nodeId(), name: 'gamma', payload: base64url(Uint8Array.of(0xff, 0xfe)) },
  ]
  const { stdout } = await ctl.run(['--format', 'json', 'query', 'q'])
  expect(linesOf(stdout)).toMatchObject([
    { type: 'response', name: 'beta', payload: 'text' },
    { type: 'response', name: 'gamma', payloadBase64: '//4=' },
    { type: 'totals', acks: 0, responses: 2 },
  ])
})

test('a query that is malformed is a matter of usage', async () => {
  expect(await ctl.run(['query'])).toMatchObject({ code: 2 })
  expect(await ctl.run(['query', 'q', '--tag', 'novalue'])).toMatchObject({ code: 2 })
  expect(await ctl.run(['query', 'bad\nname'])).toMatchObject({ code: 2 })
  expect(fake.asked).toEqual([])
})

test('reachability is fine when all who live answer, and otherwise names the others and says what to check', async () => {
  fake.members.push(member('dead', { status: 'failed' }), member('doubted', { status: 'suspect' }))
  const answers = fake.members
    .filter(({ name }) => name !== 'dead')
    .map(({ id, name }) => ({ type: 'ack' as const, node: id, name, payload: '' }))
  fake.answers = answers
  const fine = await ctl.run(['reachability', '--verbose'])
  expect(fine).toMatchObject({ code: 0, stderr: '' })
  expect(fine.stdout).toMatch(/^Asking 4 live members for a sign\n {2}alpha after \d+ ms\n[\s\S]*All 4 answered within/)
  expect(fake.asked[0]).toMatchObject({ name: '_ping', ack: true, nodes: [] })

  fake.answers = answers.slice(0, 2)
  const poor = await ctl.run(['reachability'])
  expect(poor.code).toBe(1)
  expect(poor.stderr).toMatch(/2 of 4 live members answered; not: gamma, doubted\n {2}What to check:\n/)
  const json = await ctl.run(['--format', 'json', 'reachability'])
  expect(json.code).toBe(1)
  expect(linesOf(json.stdout)).toMatchObject([
    { expected: 4, reached: 2, missing: [{ name: 'gamma' }, { name: 'doubted' }] },
  ])
})

test('force-leave passes on which node, and whether to prune it', async () => {
  expect((await ctl.run(['force-leave', 'gamma'])).code).toBe(0)
  expect(await ctl.json('force-leave', 'gamma', '--prune')).toEqual({ node: 'gamma', prune: true })
  expect(fake.dismissed).toEqual(['gamma', 'gamma pruned'])
})

test('monitor prints lines and happenings as they come, until it is interrupted', async () => {
  const [, beta] = fake.members
  fake.happened = [
    { type: 'log', at: 0 as Millis, level: 'warn', message: 'slow\u001b[1m', fields: { layer: 'app' } },
    { type: 'members', event: 'failed', members: [{ ...beta!, addrs: beta!.addrs, tags: {} }] },
    {
      type: 'query',
      id: 'x',
      ltime: 3,
      asker: fake.id,
      name: 'uptime',
      payload: base64url('p'),
      deadline: 0 as Millis,
    },
  ]
  const { code, stdout } = await ctl.run(['monitor'], {
    onStdout: (text, kill) => void (text.split('\n').length > 3 && kill()),
  })
  expect(code).toBe(130)
  expect(stdout.split('\n')).toEqual([
    '1970-01-01T00:00:00.000Z warn  slow [1m layer=app',
    'member-failed beta /ip4/192.0.2.10/tcp/7946',
    `query uptime ltime=3 by=${fake.id} p`,
    '',
  ])
  const json = await ctl.run(['--format', 'json', 'monitor', '--log-level', 'debug'], {
    onStdout: (text, kill) => void (text.split('\n').length > 3 && kill()),
  })
  expect(linesOf(json.stdout)).toMatchObject([
    { type: 'log', message: 'slow\u001b[1m' },
    { type: 'members', event: 'failed', members: [{ name: 'beta' }] },
    { type: 'query', name: 'uptime', payload: 'p' },
  ])
  expect(await ctl.run(['monitor', '--log-level', 'loud'])).toMatchObject({ code: 2 })
})
