import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { gaugesOf } from '../soak/gauges.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

let place: Sandbox
beforeAll(async () => {
  place = await sandbox()
})
afterAll(() => place.close())

/** Writes the daemon's file, sends SIGHUP and gives what the log says of it. */
async function reload(daemon: Daemon, text: string): Promise<string> {
  const before = daemon.log().length
  writeFileSync(join(place.dir, `${daemon.name}.yaml`), text)
  daemon.kill('SIGHUP')
  return eventually('the log to speak of the reload', () => {
    const line = daemon
      .log()
      .slice(before)
      .split('\n')
      .find(text => /"msg":"(configuration reloaded|the configuration was not reloaded)[^\n]*\}$/.test(text))
    return line === undefined ? undefined : (JSON.parse(line) as { msg: string }).msg
  })
}

it('takes up handlers and tags on SIGHUP, names what waits for a restart, and keeps all when the file is bad', async () => {
  const daemon = await place.start({ name: 'n0', init: true })
  const joined = join(place.dir, 'joined')
  const settings = { eventHandler: [`member-join=cat >> ${joined}`], tag: { role: 'db' }, mdns: false, lanOnly: true }
  await daemon.ctl('tags', '--set', 'by=hand')

  expect(await reload(daemon, stringify(settings))).toBe(
    'configuration reloaded; changed: tag, eventHandler; waits for a restart: lanOnly',
  )
  expect(await daemon.json('info')).toMatchObject({ tags: { role: 'db', by: 'hand' } })

  expect(await reload(daemon, stringify({ ...settings, tag: {}, eventHandler: ['member-joined=./x'] }))).toMatch(
    /stays as it was: .*n0\.yaml:\d+: eventHandler\.0: event handler .*"member-joined" is no type of event; expected member-join/,
  )
  expect(await daemon.json('info')).toMatchObject({ tags: { role: 'db', by: 'hand' } })

  const { token } = await daemon.json<{ token: string }>('invite', '--ttl', '1h')
  await place.start({ name: 'n1', join: [token] })
  await eventually('the handler to be told of n1', () => existsSync(joined) && readFileSync(joined, 'utf8') !== '')
  expect(readFileSync(joined, 'utf8')).toBe('n1\t127.0.0.1\t\t\n')

  expect(await reload(daemon, stringify({}))).toBe(
    'configuration reloaded; changed: tag, eventHandler; waits for a restart: nothing',
  )
  expect(await daemon.json('info')).toMatchObject({ tags: { by: 'hand' } })
  expect(daemon.process.exitCode).toBe(null)
})

it('is started with what it needs to collect its garbage, and does so on SIGUSR2', async () => {
  const daemon = await place.start({ name: 'n2', init: true })
  // Waits for the count of collections to rise.
  const { heap } = await gaugesOf(daemon)
  expect(heap).toBeGreaterThan(1024 * 1024)
})
