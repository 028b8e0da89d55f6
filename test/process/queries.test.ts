import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleDaemon } from '../../build.mjs'
import { type Daemon, FLEETCTL, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

interface Line {
  type: string
  name: string
  payload?: string
  acks?: number
  responses?: number
}

let box: Sandbox
let daemons: Daemon[]

beforeAll(async () => {
  const program = resolve(import.meta.dirname, '../../dist/test/answering-fleetd.js')
  await bundleDaemon(program, { 'daemon/happenings.ts': 'test/process/answering-happenings.ts' })
  box = await sandbox()
  daemons = await box.fleet(5, index => ({
    program,
    zone: index < 3 ? 'east' : 'west',
    flags: ['--tag', `role=${index % 2 === 0 ? 'db' : 'web'}`],
  }))
  for (const daemon of daemons)
    await eventually(
      'it to see five alive',
      async () => (await statuses(daemon)).join() === 'alive,alive,alive,alive,alive',
    )
}, 120_000)
afterAll(() => box?.close())

const statuses = async (daemon: Daemon): Promise<string[]> => {
  const { members } = await daemon.json<{ members: { status: string }[] }>('members')
  return members.map(({ status }) => status)
}
const ask = async (daemon: Daemon, ...args: string[]): Promise<Line[]> => {
  const { code, stdout, stderr } = await daemon.ctl('--format', 'json', 'query', ...args)
  if (code !== 0) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Line)
}
const names = (lines: readonly Line[], type: string): string =>
  lines
    .filter(line => line.type === type)
    .map(line => line.name)
    .sort()
    .join(' ')

test('a query gets an ack from everybody whom its filters let through, a response from each that has one, and totals', async () => {
  const all = await ask(daemons[1]!, 'echo', 'hello', '--timeout', '2s')
  expect(names(all, 'ack')).toBe('n0 n1 n2 n3 n4')
  expect(names(all, 'response')).toBe('n0 n1 n2 n3 n4')
  expect(all.filter(line => line.type === 'response').every(line => line.payload === 'hello')).toBe(true)
  expect(all.at(-1)).toEqual({ type: 'totals', acks: 5, responses: 5 })

  const filtered = await ask(daemons[1]!, 'echo', '--tag', 'role=d.', '--zone', 'east', '--timeout', '2s')
  expect(names(filtered, 'ack')).toBe('n0 n2')
  expect(names(filtered, 'response')).toBe('n0 n2')
  // The whole value has to match.
  expect(names(await ask(daemons[1]!, 'echo', '--tag', 'role=d', '--timeout', '1s'), 'ack')).toBe('')

  const quiet = await ask(daemons[3]!, 'nobody-knows', '--node', 'n4', '--no-ack', '--timeout', '1s')
  expect(quiet).toEqual([{ type: 'totals', acks: 0, responses: 0 }])
}, 60_000)

test('a payload of 64 KiB goes there and back', async () => {
  const payload = 'x'.repeat(64 * 1024)
  const lines = await ask(daemons[0]!, 'echo', payload, '--node', 'n3', '--timeout', '3s')
  expect(lines.find(line => line.type === 'response')).toMatchObject({ name: 'n3', payload })
  const tooLarge = await daemons[0]!.ctl('query', 'echo', `${payload}x`)
  expect(tooLarge.code).not.toBe(0)
}, 60_000)

test('a pattern that cannot be evaluated in linear time is refused at once, and says why', async () => {
  const { code, stderr } = await daemons[0]!.ctl('query', 'echo', '--tag', 'role=(a)\\1')
  expect(code).toBe(2)
  expect(stderr).toContain('is not a regular expression that can be used here')
})

test('text names each ack and response, and ends with the totals', async () => {
  const { stdout } = await daemons[0]!.ctl('query', 'echo', 'hi', '--node', 'n2', '--timeout', '1s')
  expect(stdout.trim().split('\n').sort()).toEqual([
    'Ack from n2',
    'Response from n2: hi',
    'Total acks: 1',
    'Total responses: 1',
  ])
})

test('monitor shows a query, a change of a member, and log lines that the daemon itself does not write', async () => {
  const child = spawn(process.execPath, [
    ...[FLEETCTL, '--api', `unix:${daemons[4]!.socket}`, '--format', 'json'],
    ...['monitor', '--log-level', 'trace'],
  ])
  try {
    let text = ''
    child.stdout.on('data', (part: Buffer) => {
      text += part
    })
    await eventually('it to see a query, a tag change and a line', async () => {
      await ask(daemons[0]!, 'monitored', 'p', '--timeout', '200ms')
      await daemons[1]!.ctl('tags', '--set', `turn=${text.length}`)
      const seen = text
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line) as Record<string, unknown>)
      return (
        seen.some(({ type, name, payload }) => type === 'query' && name === 'monitored' && payload === 'p') &&
        seen.some(({ type, event }) => type === 'members' && event === 'update') &&
        seen.some(({ type, level }) => type === 'log' && level === 'debug')
      )
    })
  } finally {
    child.kill('SIGKILL')
  }
}, 60_000)

test('a node that lives is not dismissed; one that was killed is, by any member and with no key, and may be pruned', async () => {
  const [asked, , , , victim] = daemons as [Daemon, Daemon, Daemon, Daemon, Daemon]
  const others = daemons.slice(0, 4)
  const alive = await asked.ctl('force-leave', 'n4')
  expect(alive.code).toBe(5)
  expect(alive.stderr).toContain('n4 is alive; ask it to leave')

  expect((await asked.ctl('reachability')).code).toBe(0)
  // Stopped, it is alive by the list for a moment still: that is what reachability is for.
  victim.kill('SIGSTOP')
  const missing = await asked.ctl('reachability', '--timeout', '1500ms')
  expect(missing.code).toBe(1)
  expect(missing.stderr).toMatch(/4 of 5 live members answered; not: n4[\s\S]*What to check/)
  victim.kill('SIGKILL')
  await victim.exited()

  const everywhere = (status: string | undefined) => async (): Promise<boolean> => {
    for (const daemon of others) {
      const { members } = await daemon.json<{ members: { name: string; status: string }[] }>('members')
      if (members.find(({ name }) => name === 'n4')?.status !== status) return false
    }
    return true
  }
  await eventually('all to see it failed', everywhere('failed'))
  expect((await daemons[2]!.ctl('force-leave', 'n4')).code).toBe(0)
  await eventually('all to see it left', everywhere('left'))
  expect((await daemons[1]!.ctl('force-leave', 'n4', '--prune')).code).toBe(0)
  await eventually('all to list it no more', everywhere(undefined))
  expect((await asked.ctl('force-leave', 'n4')).code).toBe(1)
  expect((await asked.ctl('reachability')).code).toBe(0)

  daemons[4] = await victim.restart()
  await eventually('it to be alive to all again', everywhere('alive'))
}, 90_000)
