import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FleetError } from '../../protocol/index.ts'
import { type Fake, fakeService } from '../daemon/api/fake-service.ts'
import { type Bench, bench, bundle } from './support.ts'

let ctl: Bench
let fake: Fake
beforeAll(async () => {
  ctl = await bench()
})
beforeEach(async () => {
  fake = await ctl.claimed()
})
afterAll(() => ctl.close())

const COMMANDS = [
  ...['init', 'invite', 'members', 'info', 'version', 'join', 'leave', 'revoke', 'tags', 'event', 'events', 'rtt'],
  ...['build', 'list', 'inspect', 'fetch', 'verify', 'peers'].map(name => `image ${name}`),
  ...['start', 'approve', 'status', 'list', 'pause', 'resume', 'promote', 'abort', 'undo', 'explain'].map(
    name => `rollout ${name}`,
  ),
  ...['node write-off', 'ledger show', 'policy show', 'key new', 'key show'],
  ...['taint', 'drift', 'divergence', 'hotfix start', 'hotfix extend', 'hotfix clear', 'hotfix list'],
  ...['evidence list', 'evidence get'],
  ...['audit list', 'audit verify', 'audit export', 'why', 'completion'],
]

test('the help of every command teaches with an example that names the command', async () => {
  for (const command of COMMANDS) {
    const { code, stdout } = await ctl.run([...command.split(' '), '--help'])
    expect(code, command).toBe(0)
    expect(stdout, command).toMatch(new RegExp(`Example:\\n {2}fleetctl ${command}`))
  }
}, 60_000)

test.each([
  [['membrs'], /unknown command 'membrs'; did you mean members\?/],
  [['members', '--formt', 'json'], /unknown option '--formt'; did you mean --format\?/],
  [['rollout', 'strat'], /rollout: unknown command 'strat'; did you mean start\?/],
  [['image', 'build', '--name', 'a', '--version', 'b'], /image build: missing required argument 'path'/],
  [['image', 'build', '.'], /image build: required option '--name <name>' not specified/],
  [['members', 'extra'], /too many arguments/],
  [['--format', 'xml', 'members'], /expected text, json/],
  [['--timeout', '10', 'members'], /expected a length of time/],
  [['members', '--sort', 'age'], /expected name, rtt/],
  [['members', '--name', '('], /expected a regular expression/],
  [['invite', '--class', 'spaceship'], /expected cloud, physical, intermittent/],
  [['rollout', 'start', '--max-unavailable', '0'], /whole number of at least 1/],
  [['--api', 'nonsense', 'members'], /not an address; use unix:PATH, HOST:PORT or https:/],
])('%j is one clear sentence and exit code 2', async (args, message) => {
  const { code, stdout, stderr } = await ctl.run(args)
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toMatch(message)
  expect(stderr).toMatch(/^fleetctl: [^\n]*\n$/)
})

test('a group of commands on its own shows what is in it', async () => {
  for (const args of [[], ['image']]) {
    const { code, stderr } = await ctl.run(args)
    expect(code).toBe(2)
    expect(stderr).toContain('Commands:')
  }
})

test('errors are JSON where JSON was asked for, usage errors too', async () => {
  fake.failNext = new FleetError('conflict', 'generation 8 is active', { detail: { generation: 8 } })
  const failed = await ctl.run(['members', '--format', 'json'])
  expect(failed.code).toBe(6)
  expect(JSON.parse(failed.stderr)).toEqual({
    error: { code: 'conflict', message: 'generation 8 is active', generation: 8 },
  })
  const usage = await ctl.run(['--format=json', 'membrs'])
  expect(JSON.parse(usage.stderr)).toMatchObject({ error: { code: 'bad-input' } })
})

test.each([
  ['refused', 5],
  ['unauthorized', 5],
  ['conflict', 6],
  ['no-quorum', 7],
  ['unavailable', 8],
  ['timeout', 9],
  ['internal', 1],
  ['not-found', 1],
] as const)('an error %s of the daemon gives exit code %i', async (code, exit) => {
  fake.failNext = new FleetError(code, 'because')
  expect(await ctl.run(['members'])).toEqual({ code: exit, stdout: '', stderr: 'fleetctl: members: because\n' })
})

test('a daemon that is not there gives exit code 8 and says how to start it', async () => {
  for (const api of [`unix:${join(ctl.dir, 'nobody.sock')}`, '127.0.0.1:1']) {
    const { code, stderr } = await ctl.run(['members', '--api', api])
    expect(code).toBe(8)
    expect(stderr).toMatch(/no daemon answers at .*; start one with "fleetd"/)
  }
  const version = await ctl.run(['version', '--api', '127.0.0.1:1'])
  expect(version).toMatchObject({ code: 8, stdout: 'fleetctl 1.2.3\n' })
})

test('what answers but is no fleetd gives exit code 8 and not a stack trace', async () => {
  const server = createServer(socket => socket.resume().end('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<hi>'))
  await new Promise<void>(done => void server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const { code, stderr } = await ctl.run(['members', '--api', `127.0.0.1:${port}`])
  expect(code).toBe(8)
  expect(stderr).toContain('is not a fleetd')
  await new Promise(done => void server.close(done))
})

test('a daemon that does not answer in time gives exit code 9', async () => {
  let release = (): void => undefined
  fake.hang = new Promise<void>(done => {
    release = done
  })
  const { code, stderr } = await ctl.run(['members', '--timeout', '150ms'])
  release()
  expect(code).toBe(9)
  expect(stderr).toMatch(/0\.15 s.*--timeout/)
})

test('an unclaimed daemon says what to do', async () => {
  Object.assign(fake, { authority: fakeService().authority })
  const { code, stderr } = await ctl.run(['policy', 'show'])
  expect(code).toBe(1)
  expect(stderr).toContain('belongs to no fleet')
})

test('the variable names the daemon, and the flag wins over it', async () => {
  expect((await ctl.run(['info'], { env: { FLEETCTL_API: '127.0.0.1:1' } })).code).toBe(8)
  expect((await ctl.run(['info', '--api', ctl.address], { env: { FLEETCTL_API: '127.0.0.1:1' } })).code).toBe(0)
})

test('nothing that signs or checks is loaded before it is needed', async () => {
  const { inputs } = await bundle(join(ctl.dir, 'inspect'))
  expect(inputs).toContain('cli/actions/members.ts')
  expect(inputs.filter(input => /zod|yaml|msgpackr|multiformats|cli\/signing/.test(input))).toEqual([])
})
