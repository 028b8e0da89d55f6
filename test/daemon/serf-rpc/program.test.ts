import pino from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSerfRpc, type SerfRpc } from '../../../daemon/serf-rpc/index.ts'
import type { Address } from '../../../protocol/index.ts'
import { type SerfResult, SKIPPED, serf, serfInstalled, serfMonitor } from '../../support/serf.ts'
import { eventually } from '../../support/wait.ts'
import { type Fake, fakeBackend, incoming, member } from './fake-backend.ts'

// The serf program itself, against a fleet in memory: whatever it can ask is asked here, with what it prints as a person sees it.
if (!serfInstalled) console.log(SKIPPED)

let fake: Fake
let rpc: SerfRpc
const serve = async (token?: string): Promise<void> => {
  const log = pino({ level: 'silent' })
  rpc = await createSerfRpc({ host: '127.0.0.1', port: 0, token, backend: fake.backend, log })
}
const run = (command: string, ...args: string[]): Promise<SerfResult> => serf(rpc.address, command, ...args)
/** What it printed; fails unless it exited with 0. */
const prints = async (command: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(command, ...args)
  expect(code, stderr + stdout).toBe(0)
  return stdout
}
/** What it complained of; fails unless it exited with 1. */
const complains = async (command: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(command, ...args)
  expect(code, stdout).toBe(1)
  return stdout + stderr // serf complains on its standard output
}

beforeEach(async () => {
  fake = fakeBackend([
    member('alpha', { tags: { role: 'web', dc: 'east' } }),
    member('beta', { status: 'failed', tags: { role: 'db' }, addresses: ['/ip6/2001:db8::7/tcp/79' as Address] }),
    member('gamma', { status: 'left', addresses: ['/dns/gamma.example/tcp/80' as Address] }),
  ])
  await serve()
})
afterEach(() => rpc.close())

describe.skipIf(!serfInstalled)('the serf program', () => {
  const names = (text: string): string[] => text.split('\n').flatMap(line => /^\w+/.exec(line) ?? [])

  test('members: names, addresses, states and tags', async () => {
    expect(await prints('members')).toMatch(
      /^alpha {2}127\.0\.0\.1:7946 +alive +\S+\nbeta +\[2001:db8::7\]:79 +failed +role=db\ngamma +:80 +left\s*$/,
    )
  })

  test('members -name, -status, -tag and -role choose', async () => {
    expect(names(await prints('members', '-name', '(alpha|gamma)'))).toEqual(['alpha', 'gamma'])
    expect(names(await prints('members', '-status', 'failed|left'))).toEqual(['beta', 'gamma'])
    expect(names(await prints('members', '-tag', 'role=w.b', '-tag', 'dc=east'))).toEqual(['alpha'])
    expect((await run('members', '-role', 'db')).stdout).toContain('beta')
    expect(await complains('members', '-name', '[')).toContain('missing closing ]')
  })

  test('members -detailed and -format json', async () => {
    expect(await prints('members', '-detailed')).toContain('Protocol Version: 5  Available Protocol Range: [2, 5]')
    const { members } = JSON.parse(await prints('members', '-detailed', '-format', 'json'))
    expect(members[0]).toEqual({
      name: 'alpha',
      addr: '127.0.0.1:7946',
      port: 7946,
      tags: { role: 'web', dc: 'east' },
      status: 'alive',
      protocol: { min: 2, max: 5, version: 5 },
    })
  })

  test('event, with payload and coalescing', async () => {
    expect(await prints('event', 'deploy', 'v2')).toBe("Event 'deploy' dispatched! Coalescing enabled: true\n")
    expect(await prints('event', '-coalesce=false', 'deploy')).toContain('Coalescing enabled: false')
    expect(await complains('event', 'refused')).toBe('Error sending event: the payload is too large\n')
    expect(fake.calls.slice(0, 2)).toEqual([
      ['fire', 'deploy', 'v2', true],
      ['fire', 'deploy', '', false],
    ])
  })

  test('query, with acks, responses and each of its flags', async () => {
    const lines = (await prints('query', 'load', 'now')).split('\n')
    expect(lines[0]).toBe("Query 'load' dispatched")
    // serf takes acks and responses from two queues, in no order.
    const answers = ["Ack from 'alpha'", "Ack from 'beta'", "Ack from 'gamma'", "Response from 'alpha': re: now"]
    expect(lines.slice(1, 5).sort()).toEqual(answers)
    expect(lines.slice(5)).toEqual(['Total Acks: 3', 'Total Responses: 1', ''])
    const flags = ['-no-ack', '-node', 'alpha', '-node', 'beta', '-tag', 'role=web', '-relay-factor', '3']
    const answer = await prints('query', '-format', 'json', ...flags, '-timeout', '2s', 'load')
    expect(JSON.parse(answer)).toEqual({ Acks: null, Responses: { alpha: 're: \n' } })
    expect(fake.calls).toEqual([
      ['query', 'load', [], {}, true, 0],
      ['query', 'load', ['alpha', 'beta'], { role: expect.stringContaining('web') }, false, 2000],
    ])
    expect(await complains('query', '_serf_list-keys')).toContain("cannot contain the '_serf_' prefix")
  })

  test('no answer to a query is lost at its end', async () => {
    for (let i = 0; i < 100; i++) fake.members.push(member(`n${i}`))
    for (let i = 0; i < 10; i++)
      expect(await prints('query', 'load')).toContain('Total Acks: 103\nTotal Responses: 1\n')
  })

  test('tags, join, force-leave', async () => {
    expect(await prints('tags', '-set', 'a=1', '-delete', 'b')).toBe('Successfully updated agent tags\n')
    expect(await prints('join', '-replay', '192.0.2.9', 'seed.example:99')).toContain('by contacting 2 nodes')
    expect(await complains('join', '192.0.2.1:1')).toBe('Error joining the cluster: no member answered\n')
    await prints('force-leave', 'beta')
    await prints('force-leave', '-prune', 'beta')
    expect(await complains('force-leave', 'nobody')).toContain('no member "nobody"')
    expect(fake.calls).toEqual([
      ['changeTags', { a: '1' }, ['b']],
      ['join', ['192.0.2.9', 'seed.example:99']],
      ['join', ['192.0.2.1:1']],
      ['forceLeave', 'beta', false],
      ['forceLeave', 'beta', true],
      ['forceLeave', 'nobody', false],
    ])
  })

  test('info, as text and JSON', async () => {
    expect(await prints('info')).toContain('serf:\n\thealth_score = 0\n\tmembers = 3\n')
    expect(JSON.parse(await prints('info', '-format', 'json'))).toMatchObject({ agent: { name: 'alpha' } })
  })

  test('reachability compares acks with the living', async () => {
    expect((await run('reachability')).stdout).toContain('more acks than live nodes')
    fake.members.splice(1)
    expect(await prints('reachability', '-verbose')).toContain('Successfully contacted all live nodes')
  })

  test('rtt, from this node and between two', async () => {
    const at = (x: number) => ({ vector: [x, 0, 0, 0, 0, 0, 0, 0], error: 0.1, adjustment: 0, height: 0.0001 })
    fake.coordinates.set('alpha', at(0)).set('beta', at(0.01))
    expect(await prints('rtt', 'beta')).toBe('Estimated beta <-> alpha rtt: 10.200 ms\n')
    expect(await prints('rtt', 'alpha', 'beta')).toBe('Estimated alpha <-> beta rtt: 10.200 ms\n')
    expect(await complains('rtt', 'gamma')).toContain('Could not find a coordinate for node "gamma"')
  })

  test('keys says that there are none', async () => {
    for (const flags of [['-list'], ['-install', 'k'], ['-use', 'k'], ['-remove', 'k']])
      expect(await complains('keys', ...flags)).toContain('this fleet has no symmetric keys')
  })

  test('monitor shows events, queries and log lines, and ends at a signal', async () => {
    const monitor = serfMonitor(rpc.address, '-log-level', 'debug')
    await eventually('the monitor to listen', () => fake.logListeners() === 1, { everyMs: 10, seen: monitor.text })
    fake.log('warn', 'a disk is nearly full')
    fake.happenings.tell({ type: 'members', event: 'failed', members: [fake.members[1]!] })
    fake.happenings.tell({ type: 'query', query: incoming('load', Buffer.from('now'), []) })
    for (const part of ['[WARN] fleetd: a disk is nearly full', 'Event: "member-failed"', 'Name: "load"'])
      await eventually(part, () => monitor.text().includes(part), { everyMs: 10, seen: monitor.text })
    expect(await monitor.interrupt()).toBe(0)
    const unheard = serfMonitor(rpc.address)
    await eventually('the second monitor to listen', () => fake.logListeners() === 1, { everyMs: 10 })
    await rpc.close()
    expect(await unheard.exited()).toBe(1)
    expect(unheard.text()).toContain('Remote side ended the monitor')
  })

  test('leave is told of when it is done', async () => {
    expect(await prints('leave')).toBe('Graceful leave complete\n')
    expect(fake.calls).toEqual([['leave'], ['stop']])
  })

  test('-rpc-auth, right, wrong and missing', async () => {
    await rpc.close()
    await serve('correct horse')
    expect(await prints('members', '-rpc-auth', 'correct horse')).toContain('alpha')
    expect(await complains('members', '-rpc-auth', 'wrong')).toContain('Invalid authentication token')
    expect(await complains('members')).toContain('Authentication required')
  })
})
