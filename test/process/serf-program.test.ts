import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { greeted } from '../daemon/serf-rpc/client.ts'
import { type Daemon, freePort, type Sandbox, sandbox } from '../support/daemons.ts'
import { type SerfResult, SKIPPED, serf, serfInstalled, serfMonitor } from '../support/serf.ts'
import { eventually } from '../support/wait.ts'

// The serf program, as Debian ships it, against three real daemons.
if (!serfInstalled) console.log(SKIPPED)

let box: Sandbox
let daemons: Daemon[]
let address: string
const SECRET = 'correct horse'

const run = (command: string, ...args: string[]): Promise<SerfResult> => serf(address, command, ...args)
const prints = async (command: string, ...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(command, ...args)
  expect(code, `serf ${command}: ${stderr}${stdout}`).toBe(0)
  return stdout
}

describe.skipIf(!serfInstalled)('the serf program and real daemons', () => {
  beforeAll(async () => {
    box = await sandbox()
    const port = await freePort()
    address = `127.0.0.1:${port}`
    const token = join(box.dir, 'serf.token')
    writeFileSync(token, `${SECRET}\n`, { mode: 0o600 })
    daemons = await box.fleet(3, index => ({
      flags: [
        ...['--tag', `role=${index === 0 ? 'web' : 'db'}`],
        ...(index === 0 ? ['--serf-rpc', address] : []),
        ...(index === 2 ? ['--serf-rpc', '127.0.0.1:0', '--serf-rpc-auth-file', token] : []),
      ],
    }))
    await eventually(
      'all three to be seen alive',
      async () => (await prints('members')).match(/ alive /g)?.length === 3,
    )
  }, 120_000)
  afterAll(() => box?.close())

  test('members: the same as fleetctl says', async () => {
    const { members } = JSON.parse(await prints('members', '-format', 'json'))
    expect(members.map(({ name, addr, status, tags }: Record<string, unknown>) => [name, addr, status, tags])).toEqual(
      daemons.map(({ name, port }) => [name, `127.0.0.1:${port}`, 'alive', { role: name === 'n0' ? 'web' : 'db' }]),
    )
    expect(await prints('members', '-tag', 'role=d.', '-name', 'n1')).toMatch(/^n1 .* alive {2}role=db\s*$/)
  })

  test('info and rtt', async () => {
    const info = JSON.parse(await prints('info', '-format', 'json'))
    expect(info).toMatchObject({
      agent: { name: 'n0' },
      serf: { members: '3', failed: '0', left: '0', encrypted: 'true' },
      tags: { role: 'web' },
    })
    const estimate = await eventually('a coordinate of n1', async () => {
      const { code, stdout } = await run('rtt', 'n1')
      return code === 0 && stdout
    })
    expect(estimate).toMatch(/^Estimated n1 <-> n0 rtt: \d+\.\d{3} ms\n$/)
  })

  test('an event that is fired here is streamed there, and a monitor shows it', async () => {
    const monitor = serfMonitor(address, '-log-level', 'debug')
    try {
      await eventually('the monitor to show the event', async () => {
        expect(await prints('event', 'deploy', 'v2')).toContain("Event 'deploy' dispatched!")
        return monitor.text().includes('Name: "deploy"')
      })
      const { stdout } = await daemons[1]!.ctl('--format', 'json', 'events')
      expect(stdout).toContain('"deploy"')
      await eventually('the monitor to show log lines', async () => {
        await run('join', `127.0.0.1:${await freePort()}`)
        return monitor.text().includes('[DEBUG] fleetd: ')
      })
    } finally {
      expect(await monitor.interrupt()).toBe(0)
    }
  })

  test('a query is acknowledged by all and answered by one, whose client was told of it by a stream', async () => {
    const responder = await greeted(address)
    await responder.ask('stream', 1, { Type: 'query:load' })
    const told = (async () => {
      await responder.next()
      const { ID, Payload } = (await responder.next()) as { ID: number; Payload: Uint8Array }
      await responder.ask('respond', 2, { ID, Payload: Buffer.concat([Payload, Buffer.from(': 0.5\n')]) })
    })()
    const answer = await prints('query', '-timeout', '2s', 'load', 'now')
    await told
    responder.close()
    const lines = ["Ack from 'n0'", "Ack from 'n1'", "Ack from 'n2'", "Response from 'n0': now: 0.5", 'Total Acks: 3']
    for (const line of lines) expect(answer).toContain(line)
    const chosen = JSON.parse(
      await prints('query', '-format', 'json', '-timeout', '1s', '-node', 'n1', '-tag', 'role=d', 'load'),
    )
    expect(chosen).toEqual({ Acks: ['n1'], Responses: {} })
    expect(await prints('query', '-timeout', '1s', '-no-ack', '-relay-factor', '2', 'load')).not.toContain('Ack')
  })

  test('reachability', async () => {
    expect(await prints('reachability', '-verbose')).toContain('Successfully contacted all live nodes')
  })

  test('tags are set and deleted, and the others hear of it', async () => {
    await prints('tags', '-set', 'dc=east', '-set', 'rack=7', '-delete', 'role')
    await eventually('n1 to hear of the tags', async () => {
      const { members } = await daemons[1]!.json<{ members: { name: string; tags: object }[] }>('members')
      return isDeepStrictEqual(members.find(({ name }) => name === 'n0')?.tags, { dc: 'east', rack: '7' })
    })
    const refused = await run('tags', '-set', 'no spaces=1')
    expect(refused.code).toBe(1)
    expect(refused.stdout + refused.stderr).toContain('expected letters')
  })

  test('join counts who was reached, and says why when nobody was', async () => {
    expect(await prints('join', `127.0.0.1:${daemons[1]!.port}`)).toContain('by contacting 1 nodes')
    const nobody = await run('join', `127.0.0.1:${await freePort()}`)
    expect(nobody.code).toBe(1)
    expect(nobody.stdout + nobody.stderr).toContain('no member answered')
  })

  test('keys says that there are none', async () => {
    const { code, stdout, stderr } = await run('keys', '-list')
    expect(code).toBe(1)
    expect(stdout + stderr).toContain('this fleet has no symmetric keys')
  })

  test('-rpc-auth opens a daemon that asks for a token, and nothing else does', async () => {
    const [, theirs] = /Serf clients are served at (127\.0\.0\.1:\d+)/.exec(daemons[2]!.log())!
    expect((await serf(theirs!, 'members', '-rpc-auth', SECRET)).code).toBe(0)
    for (const flags of [[], ['-rpc-auth', 'wrong']]) {
      const { code, stdout, stderr } = await serf(theirs!, 'members', ...flags)
      expect(code).toBe(1)
      expect(stdout + stderr).toMatch(/uthentication/)
    }
  })

  test('a failed member is seen as failed, and is gone after force-leave -prune', async () => {
    daemons[1]!.kill('SIGKILL')
    await eventually('n1 to be seen failed', async () => (await prints('members', '-status', 'failed')).includes('n1'))
    await prints('force-leave', 'n1')
    await eventually('n1 to be seen left', async () => (await prints('members', '-status', 'left')).includes('n1'))
    await prints('force-leave', '-prune', 'n1')
    await eventually('n1 to be forgotten', async () => !(await prints('members')).includes('n1'))
    expect((await run('force-leave', 'nobody')).code).toBe(1)
  })

  test('leave ends the daemon, which the others see as having left', async () => {
    expect(await prints('leave')).toBe('Graceful leave complete\n')
    expect(await daemons[0]!.exited()).toBe(0)
    const [, theirs] = /Serf clients are served at (127\.0\.0\.1:\d+)/.exec(daemons[2]!.log())!
    await eventually('n2 to see n0 as left', async () => {
      const { stdout } = await serf(theirs!, 'members', '-rpc-auth', SECRET, '-status', 'left')
      return stdout.includes('n0')
    })
  })
})
