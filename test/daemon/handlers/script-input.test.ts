import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { OUTPUT_LIMIT, runScript } from '../../../daemon/handlers/script.ts'
import { type Self, stdinOf, variablesOf } from '../../../daemon/handlers/script-input.ts'
import type { Happening } from '../../../daemon/happenings.ts'
import type { Address, NodeId } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { member, query, userEvent } from './support.ts'

const self: Self = {
  id: 'id-of-me' as NodeId,
  name: 'me',
  class: 'cloud',
  group: 'web',
  zone: 'z1',
  tags: { role: 'db', 'rack-no': '7\0' },
}
const never = new AbortController().signal

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-script-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const run = (script: string, happening: Happening, timeout = 20_000) =>
  runScript({
    script,
    variables: { ...variablesOf(happening, self, node => (node === 'id-of-author' ? 'alpha' : undefined)), DIR: dir },
    stdin: stdinOf(happening),
    timeout,
    signal: never,
  })

it('gives a script of member events a line for each, as Serf does', async () => {
  const members = [
    member('a', { tags: { role: 'web', dc: 'x\ty' } }),
    member('b\n', { addresses: ['/ip6/2001:db8::1/tcp/1' as Address] }),
  ]
  const { stdout } = await run('printf "%s\\n" "$SERF_EVENT"; cat', { type: 'members', event: 'join', members })
  expect(Buffer.from(stdout).toString()).toBe(
    'member-join\na\t192.0.2.7\tweb\tdc=x\\ty,role=web\nb\\n\t2001:db8::1\t\t\n',
  )
})

it('gives a script the variables of a user event, and its payload with a newline at the end', async () => {
  const happening: Happening = { type: 'event', event: userEvent(5, 'deploy', 'v1.2') }
  const { stdout } = await run('env | grep -E "^(SERF|FLEET)_" | LC_ALL=C sort; cat', happening)
  expect(Buffer.from(stdout).toString()).toBe(
    `${[
      'FLEET_AT=1700000000000',
      'FLEET_AUTHOR=id-of-author',
      'FLEET_AUTHOR_NAME=alpha',
      'FLEET_CLASS=cloud',
      'FLEET_CURSOR=5',
      'FLEET_EVENT=user',
      'FLEET_GROUP=web',
      'FLEET_LTIME=105',
      'FLEET_NAME=deploy',
      'FLEET_SELF_ID=id-of-me',
      'FLEET_SELF_NAME=me',
      'FLEET_SEQ=5',
      'FLEET_ZONE=z1',
      'SERF_EVENT=user',
      'SERF_SELF_NAME=me',
      'SERF_SELF_ROLE=db',
      'SERF_TAG_RACK_NO=7',
      'SERF_TAG_ROLE=db',
      'SERF_USER_EVENT=deploy',
      'SERF_USER_LTIME=105',
      'v1.2',
    ].join('\n')}\n`,
  )
})

it('gives a script the variables of a query', () => {
  expect(variablesOf({ type: 'query', query: query('uptime', '', 12) }, self, () => undefined)).toMatchObject({
    SERF_EVENT: 'query',
    SERF_QUERY_NAME: 'uptime',
    SERF_QUERY_LTIME: '9',
    FLEET_QUERY_ID: 'q-uptime',
    FLEET_AUTHOR: 'id-of-asker',
    FLEET_DEADLINE: '12',
  })
})

it.each([
  ['', ''],
  ['a', 'a\n'],
  ['a\n', 'a\n'],
])('gives a payload %j as %j', (payload, wanted) => {
  expect(Buffer.from(stdinOf({ type: 'event', event: userEvent(1, 'x', payload) })).toString()).toBe(wanted)
})

const event: Happening = { type: 'event', event: userEvent(1, 'x', 'y'.repeat(300_000)) }

it('is no trouble when a script does not read what it is given', async () => {
  expect(await run('exec true', event)).toMatchObject({ ok: true })
})

it('keeps the first 64 KiB of output and counts the rest; stderr only explains', async () => {
  const { stdout, cut, ok } = await run(`head -c ${OUTPUT_LIMIT + 1000} /dev/zero; echo noise >&2`, event)
  expect([stdout.length, cut, ok]).toEqual([OUTPUT_LIMIT, 1000, true])
  expect(await run('echo out; echo first >&2; echo no disk >&2; exit 3', event)).toMatchObject({
    ok: false,
    reason: 'exit 3: no disk',
  })
})

it('kills a script that takes too long, with what it has started', async () => {
  const result = await run('sh -c \'echo $$ > "$DIR/grandchild"; exec sleep 600\' & sleep 600', event, 1_000)
  expect(result).toMatchObject({ ok: false, ended: { end: 'timeout' }, reason: 'it did not end within 1 s' })
  const pid = readFileSync(join(dir, 'grandchild'), 'utf8').trim()
  await eventually('the grandchild to be gone', () => {
    try {
      return readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')
    } catch {
      return true
    }
  })
})
