import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

let box: Sandbox
let asker: Daemon
let worker: Daemon
let seen: string

beforeAll(async () => {
  box = await sandbox()
  seen = join(box.dir, 'seen')
  const handlers = [
    ...['--event-handler', `user:deploy=printf '%s %s ' "$SERF_USER_EVENT" "$FLEET_SEQ" >> ${seen}; cat >> ${seen}`],
    ...['--event-handler', 'query:load=printf "0.5 on %s" "$SERF_SELF_NAME"'],
  ]
  const daemons = await box.fleet(2, index => (index === 1 ? { flags: handlers } : {}))
  ;[asker, worker] = daemons as [Daemon, Daemon]
  await bothAlive()
}, 60_000)
afterAll(() => box?.close())

async function bothAlive(): Promise<void> {
  await eventually('the asker to see both', async () => {
    const { members } = await asker.json<{ members: { status: string }[] }>('members')
    return members.filter(({ status }) => status === 'alive').length === 2
  })
}

/** Whole ones: a script may be seen in the middle of writing. */
const lines = (): string[] => (existsSync(seen) ? readFileSync(seen, 'utf8').split('\n').slice(0, -1) : [])

test('a user event runs the handler on another host once, with its payload, also after that host was away', async () => {
  expect((await asker.ctl('event', 'deploy', 'v1')).code).toBe(0)
  await eventually('the first to be handled', () => lines().join() === 'deploy 1 v1')
  worker.kill('SIGKILL')
  await worker.exited()
  expect((await asker.ctl('event', 'other', 'x')).code).toBe(0)
  expect((await asker.ctl('event', 'deploy', 'v2')).code).toBe(0)
  worker = await worker.restart()
  await eventually('the second to be handled', () => lines().length === 2, { seen: lines })
  expect(lines()).toEqual(['deploy 1 v1', 'deploy 3 v2'])
}, 60_000)

test('what a handler of a query prints is the response of its host', async () => {
  await bothAlive()
  const { stdout, code } = await asker.ctl('query', 'load', '--timeout', '5s')
  expect(code).toBe(0)
  expect(stdout).toContain('0.5 on n1')
}, 60_000)
