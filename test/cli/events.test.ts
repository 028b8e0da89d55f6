import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FleetError } from '../../protocol/index.ts'
import type { Fake } from '../daemon/api/fake-service.ts'
import { eventually } from '../support/wait.ts'
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

test('event fires an event with its payload, and says where to find it', async () => {
  expect(await ctl.run(['event', 'deploy', 'v2 é', '--coalesce'])).toMatchObject({
    code: 0,
    stdout: 'event deploy is on its way: the 1st of this node, cursor 1\n',
  })
  expect(fake.events).toMatchObject([{ name: 'deploy', coalesce: true, payload: Uint8Array.from(Buffer.from('v2 é')) }])
  expect(await ctl.json('event', 'bare')).toMatchObject({ author: fake.id, seq: 2, ltime: 6, cursor: 2 })
  expect(fake.events[1]).toMatchObject({ coalesce: false, payload: new Uint8Array() })
})

test('a name with control characters and a payload over 64 KiB are refused, each in a sentence', async () => {
  const name = await ctl.run(['event', 'two\nlines'])
  expect(name).toMatchObject({ code: 2, stdout: '' })
  expect(name.stderr).toContain('without control characters')
  const payload = await ctl.run(['event', 'big', 'x'.repeat(64 * 1024 + 1)])
  expect(payload).toMatchObject({ code: 1, stdout: '' })
  expect(payload.stderr).toContain('at most 64 KiB')
  expect((await ctl.run(['event', 'fits', 'x'.repeat(64 * 1024)])).code).toBe(0)
  expect(fake.events).toHaveLength(1)
})

test('events are lines for people and objects for programs, from a cursor on', async () => {
  fake.deliver('deploy', Buffer.from('v2'))
  fake.deliver('binary', Uint8Array.of(0xff, 0xfe))
  fake.deliver('evil', Buffer.from('a\x1b[31mb'))
  const { stdout } = await ctl.run(['events'])
  const lines = stdout.trimEnd().split('\n')
  expect(lines[0]).toMatch(/CURSOR +LTIME +TIME +AUTHOR +NAME +PAYLOAD$/)
  expect(lines[1]).toMatch(/^ +1 +5 {2}2023-11-14T22:13:20Z {2}alpha +deploy +v2$/)
  expect(lines[2]).toMatch(/binary +\(2 bytes\)$/)
  expect(lines[3]).toMatch(/evil +a \[31mb$/)
  const json = await ctl.run(['--format', 'json', 'events', '--since', '2'])
  expect(JSON.parse(json.stdout)).toMatchObject({ cursor: 3, name: 'evil' })
  expect((await ctl.run(['events', '--since', 'x'])).code).toBe(2)
})

test('events --follow tells what comes until it is interrupted', async () => {
  fake.deliver('first')
  let told = false
  const { stdout } = await ctl.run(['events', '--follow'], {
    onStdout(text, kill) {
      if (text.includes('first') && !told) {
        told = true
        fake.deliver('second')
      }
      if (text.includes('second')) kill()
    },
  })
  expect(stdout).toMatch(/first[\s\S]*second/)
  await eventually('the stream to be let go', () => fake.aborted === 1)
})

test('what the daemon refuses is told with its exit code', async () => {
  fake.failNext = new FleetError('not-found', 'the events right behind cursor 3 are kept no more')
  expect(await ctl.run(['events', '--since', '3'])).toMatchObject({
    code: 1,
    stderr: 'fleetctl: events: the events right behind cursor 3 are kept no more\n',
  })
})
