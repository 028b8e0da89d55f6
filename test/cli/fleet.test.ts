import { readFile, rm, stat } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { CERTIFICATE, certify, type Millis, open, parseToken } from '../../protocol/index.ts'
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

test('init makes a key that only its owner can read, and a fleet whose first member is this daemon', async () => {
  expect((await stat(ctl.keyFile)).mode & 0o777).toBe(0o600)
  const { policy } = fake.authority!
  expect(policy).toMatchObject({
    version: 1,
    previous: null,
    threshold: 1,
    groups: { '*': { genesisVoters: [fake.id] } },
  })
  expect(policy.publishers).toEqual(policy.operators)
  // The invite that went along certifies this very node.
  const certificate = certify(fake.token!, fake.id, Date.now() as Millis)
  expect(open(CERTIFICATE, fake.authority!.fleet, certificate.bytes).body.node).toBe(fake.id)
})

test('init a second time is refused and touches nothing', async () => {
  const before = await readFile(ctl.keyFile)
  const again = await ctl.run(['init'])
  expect(again).toMatchObject({ code: 5, stdout: '' })
  expect(again.stderr).toMatch(/^fleetctl: init: this daemon belongs to fleet [0-9a-f]{12} already; .*\n$/)
  expect(await readFile(ctl.keyFile)).toEqual(before)
})

test('invite prints one line, a token that its fleet accepts and that carries what was asked for', async () => {
  const { code, stdout, stderr } = await ctl.run([
    ...['invite', '--ttl', '1h', '--class', 'physical', '--group', 'db'],
    ...['--tag', 'rack=7', '--tag', 'role=db'],
  ])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.trimEnd()).not.toContain('\n')
  const token = parseToken(stdout.trimEnd(), Date.now() as Millis)
  expect(token.fleet).toBe(fake.authority!.fleet)
  expect(token.bootstrap).toEqual(['/ip4/192.0.2.10/tcp/7946'])
  expect(token.invite.body).toMatchObject({ class: 'physical', group: 'db', tags: { rack: '7', role: 'db' } })
  expect(token.invite.body).not.toHaveProperty('zone')
  const left = token.invite.body.expires - Date.now()
  expect(left).toBeGreaterThan(3_500_000)
  expect(left).toBeLessThanOrEqual(3_600_000)
})

test('two invites never share a key', async () => {
  const tokens = [await ctl.json<{ token: string }>('invite'), await ctl.json<{ token: string }>('invite')]
  const keys = tokens.map(({ token }) => parseToken(token, Date.now() as Millis).key.publicKey)
  expect(new Set(keys).size).toBe(2)
})

test('a key that is no operator of the fleet is refused before anything is signed', async () => {
  const other = `${ctl.dir}/other.key`
  await ctl.run(['key', 'new', '--key', other])
  for (const args of [['invite'], ['revoke', 'beta', '--reason', 'x'], ['rollout', 'pause']]) {
    const result = await ctl.run([...args, '--key', other])
    expect(result.code, args.join(' ')).not.toBe(0)
    expect(result.stdout).toBe('')
  }
  const invite = await ctl.run(['invite', '--key', other])
  expect(invite.code).toBe(5)
  expect(invite.stderr).toContain('is no operator of this fleet')
  await rm(other)
})

test('members prints aligned columns with no colour into a pipe', async () => {
  const { code, stdout } = await ctl.run(['members'])
  expect(code).toBe(0)
  const [head, ...rows] = stdout.trimEnd().split('\n')
  expect(head!.split(/ {2,}/)).toEqual('NAME STATUS ADDR CLASS ZONE GROUP HEALTH LAYERS RTT'.split(' '))
  expect(rows.map(row => row.split(/ {2,}/))).toEqual([
    ['alpha', 'alive', '192.0.2.10:7946', 'cloud', 'z1', 'web', 'passing', 'app=v1 running', '-'],
    ['beta', 'alive', '192.0.2.10:7946', 'cloud', 'z2', 'web', 'passing', 'app=v1 running', '0.6 ms'],
    ['gamma', 'alive', '192.0.2.10:7946', 'cloud', 'z1', 'web', 'passing', 'app=v1 running', '0.6 ms'],
  ])
  expect(stdout).not.toContain('\u001b')
})

test('members filters by status, name, tag, group and zone', async () => {
  fake.members = [
    member('web1', { tags: { rack: '1' } }),
    member('web2', { status: 'failed', tags: { rack: '12' } }),
    member('db1', { group: 'db', zone: 'z9' }),
  ]
  const names = async (...args: string[]): Promise<string> =>
    (await ctl.json<{ members: { name: string }[] }>('members', ...args)).members.map(({ name }) => name).join(' ')
  expect(await names('--status', 'failed')).toBe('web2')
  expect(await names('--status', 'failed', '--status', 'alive')).toBe('db1 web1 web2')
  expect(await names('--name', 'web.')).toBe('web1 web2')
  expect(await names('--name', 'web')).toBe('')
  expect(await names('--tag', 'rack=1')).toBe('web1')
  expect(await names('--tag', 'rack=1.?')).toBe('web1 web2')
  expect(await names('--group', 'db', '--zone', 'z9')).toBe('db1')
})

test('members keeps escape sequences of other nodes away from the terminal', async () => {
  fake.members = [
    member('beta', {
      taint: [],
      layers: [{ layer: 'app', digest: null, version: 'x:\u001b[2Jv\u202e1', state: 'running', progress: 1 }],
    }),
  ]
  const { stdout } = await ctl.run(['members'])
  expect(stdout).not.toContain('\u001b')
  expect(stdout).not.toContain('\u202e')
})

test('members --sort rtt puts the nearest first, measured or estimated, and those of unknown distance last', async () => {
  fake.members = [
    member('here', { id: fake.id, rttMs: null, estimatedRttMs: null }),
    member('far', { rttMs: 90.04, estimatedRttMs: 80 }),
    member('guessed', { rttMs: null, estimatedRttMs: 12.34 }),
    member('near', { rttMs: 0.61, estimatedRttMs: 200 }),
  ]
  const order = async (...args: string[]): Promise<string[]> =>
    (await ctl.json<{ members: { name: string }[] }>('members', ...args)).members.map(({ name }) => name)
  expect(await order('--sort', 'rtt')).toEqual(['near', 'guessed', 'far', 'here'])
  expect(await order()).toEqual(['far', 'guessed', 'here', 'near'])
  const { stdout } = await ctl.run(['members', '--sort', 'rtt'])
  const lines = stdout.trimEnd().split('\n').slice(1)
  expect(lines.map(line => line.split(/ {2,}/).at(-1))).toEqual(['0.6 ms', '~12.3 ms', '90.0 ms', '-'])
})

test('rtt shows one round trip, says where it is from, and fails for a node without a coordinate', async () => {
  expect((await ctl.run(['rtt', 'beta'])).stdout).toBe('beta <-> alpha: 0.6 ms (measured)\n')
  expect((await ctl.run(['rtt', 'beta', 'gamma'])).stdout).toBe('beta <-> gamma: 0.7 ms (estimated)\n')
  expect(await ctl.json('rtt', 'beta', 'gamma')).toEqual({
    from: { node: fake.members[1]!.id, name: 'beta' },
    to: { node: fake.members[2]!.id, name: 'gamma' },
    rttMs: 0.7,
    measured: false,
    estimatedRttMs: 0.7,
  })
  fake.members = [member('new', { rttMs: null, estimatedRttMs: null }), member('old')]
  const missing = await ctl.run(['rtt', 'new', 'old'])
  expect(missing).toMatchObject({ code: 1, stdout: '' })
  expect(missing.stderr).toMatch(/^fleetctl: rtt: new has no network coordinate yet/)
})

test('members --watch shows every change until it is interrupted', async () => {
  let seen = 0
  const result = await ctl.run(['--format', 'json', 'members', '--watch'], {
    onStdout: (text, kill) => {
      const lines = text.split('\n').length - 1
      if (lines === 1 && seen === 0) fake.members = [member('only')]
      if (lines >= 2) kill()
      seen = lines
    },
  })
  expect(result.code).toBe(130)
  const [, second] = result.stdout.trimEnd().split('\n')
  expect((JSON.parse(second!) as { members: { name: string }[] }).members.map(({ name }) => name)).toEqual(['only'])
})

test('info and version say who answers', async () => {
  expect(await ctl.json('info')).toMatchObject({ id: fake.id, fleet: fake.authority!.fleet, group: 'web' })
  expect((await ctl.run(['info'])).stdout).toContain(fake.id)
  expect(await ctl.json('version')).toMatchObject({ fleetctl: '1.2.3', fleetd: '0.1.0' })
  expect((await ctl.run(['--version'])).stdout).toBe('1.2.3\n')
})

test('join takes a token or addresses, and fails when nobody answered', async () => {
  const { token } = await ctl.json<{ token: string }>('invite')
  expect(await ctl.json('join', token)).toMatchObject({ fleet: fake.authority!.fleet })
  expect(await ctl.json('join', '192.0.2.1:7946')).toMatchObject({ reached: ['192.0.2.1:7946'] })
  expect((await ctl.run(['join', 'bad:1'])).code).toBe(1)
  expect((await ctl.run(['join', token, '192.0.2.1:7946'])).code).toBe(2)
  expect((await ctl.run(['join', 'fleet1.xyz'])).code).toBe(2)
})

test('leave tells the daemon to go', async () => {
  expect((await ctl.run(['leave'])).code).toBe(0)
  expect(fake.left).toBe(true)
})

test('revoke finds its node by name, id or beginning, and signs for exactly that one', async () => {
  const [, beta, gamma] = fake.members
  expect((await ctl.run(['revoke', 'bet', '--reason', 'stolen'])).code).toBe(0)
  expect((await ctl.run(['revoke', gamma!.id, '--reason', 'stolen'])).code).toBe(0)
  expect(fake.revoked).toEqual([beta!.id, gamma!.id])
  expect(await ctl.run(['revoke', 'nobody', '--reason', 'x'])).toMatchObject({ code: 1 })
  fake.members = [member('web-1', { id: nodeId() }), member('web-2')]
  const ambiguous = await ctl.run(['revoke', 'web', '--reason', 'x'])
  expect(ambiguous.code).toBe(6)
  expect(ambiguous.stderr).toMatch(/may mean any of web-1 .* web-2/)
  expect(await ctl.run(['revoke', 'web-1'])).toMatchObject({ code: 2 })
})

test('tags shows, sets and deletes', async () => {
  expect((await ctl.run(['tags'])).stdout).toBe('role=web\n')
  expect(await ctl.json('tags', '--set', 'a=1', '--set', 'b=x=y', '--delete', 'role')).toEqual({
    tags: { a: '1', b: 'x=y' },
  })
  expect((await ctl.run(['tags', '--set', 'novalue'])).code).toBe(2)
  expect((await ctl.run(['tags', '--set', 'bad key=1'])).code).toBe(2)
})

test('policy and ledger are shown to people and to programs', async () => {
  expect(await ctl.json('policy', 'show')).toMatchObject({ fleet: fake.authority!.fleet, policy: { version: 1 } })
  expect((await ctl.run(['policy', 'show'])).stdout).toContain(fake.authority!.policy.operators[0])
  expect(await ctl.json('ledger', 'show')).toMatchObject({ group: 'web', epoch: 2 })
  expect((await ctl.run(['ledger', 'show', 'db'])).stdout).toMatch(/group +db\n/)
})
