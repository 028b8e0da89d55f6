import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AuditList, auditGenesis, type Millis, nextEntry } from '../../protocol/index.ts'
import type { Fake } from '../daemon/api/fake-service.ts'
import { type Bench, bench } from './support.ts'

let ctl: Bench
let fake: Fake
beforeAll(async () => {
  ctl = await bench()
})
beforeEach(async () => {
  fake = await ctl.claimed()
  let tail = { seq: 0, hash: auditGenesis(fake.id) }
  for (const [kind, text] of [
    ['plan-accepted', 'plan 1'],
    ['permit-taken', 'permit 4'],
    ['activated', 'shop:v2 runs'],
  ] as const) {
    const next = nextEntry(tail, 1_700_000_000_000 as Millis, {
      ...{ kind, text, subject: 'web', by: kind === 'plan-accepted' ? 'ab'.repeat(32) : '', detail: {} },
    })
    fake.log.push(next.line)
    tail = next.tail
  }
})
afterAll(() => ctl.close())

test('the audit log is a table, whole in JSON, and narrowed by kind and place', async () => {
  const { stdout } = await ctl.run(['audit', 'list'])
  expect(stdout).toMatch(
    /ENTRY +TIME +KIND +ABOUT +BY +WHAT\n +1 +2023-11-14T22:13:20Z +plan-accepted +web +abababababab +plan 1/,
  )
  const list = await ctl.json<AuditList>('audit', 'list', '--since', '1', '--kind', 'activated')
  expect(list.entries).toMatchObject([{ seq: 3, hash: expect.stringMatching(/^[0-9a-f]{64}$/) }])
})

test('verify names node and entry and exits with 1, with a daemon and without one', async () => {
  expect(await ctl.run(['audit', 'verify'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^alpha: good: 3 entries/),
  })
  const file = join(ctl.dir, 'alpha.audit')
  writeFileSync(file, (await ctl.run(['audit', 'export'])).stdout)
  const away = ['--api', 'unix:/nowhere', 'audit', 'verify', '--file', file]
  expect((await ctl.run(away)).code).toBe(0)
  fake.log[1] = fake.log[1]!.replace('permit 4', 'permit 5')
  writeFileSync(file, (await ctl.run(['audit', 'export'])).stdout)
  for (const args of [['audit', 'verify'], away])
    expect(await ctl.run(args)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^alpha: entry 2: it is not what/),
    })
  writeFileSync(file, 'something else')
  expect(await ctl.run(away)).toMatchObject({ code: 2, stderr: expect.stringContaining('no exported audit log') })
})

test('why goes from effect to cause', async () => {
  const { stdout } = await ctl.run(['why', 'alpha'])
  expect(stdout).toMatch(
    /^alpha, layer app\n {2}shop:v2 runs .*entry 3.*\n {2}because permit 4.*\n {2}because plan 1 \(by abababababab\)/,
  )
})

test('what an operator says of a node is signed, and says until when', async () => {
  const began = Date.now()
  await ctl.json('taint', 'beta', '--reason', 'incident')
  await ctl.json('hotfix', 'start', 'beta', '--layer', 'app', '--ttl', '4h', '--reason', 'ticket 812')
  await ctl.json('hotfix', 'clear', 'beta', '--layer', 'app')
  const beta = fake.members.find(({ name }) => name === 'beta')!.id
  expect(fake.marks).toMatchObject([
    { node: beta, layer: null, act: 'taint', until: 0, reason: 'incident' },
    { node: beta, layer: 'app', act: 'hotfix', reason: 'ticket 812' },
    { node: beta, layer: 'app', act: 'clear', reason: '' },
  ])
  expect(fake.marks[1]!.until - began).toBeGreaterThanOrEqual(4 * 3_600_000)
  expect(await ctl.run(['hotfix', 'start', 'beta', '--layer', 'app', '--reason', 'x'])).toMatchObject({ code: 2 })
})

test('drift names what differs and exits with 1, and with 0 once nothing does', async () => {
  const { code, stdout } = await ctl.run(['drift'])
  expect(code).toBe(1)
  expect(stdout).toMatch(
    /alpha, layer app: shop:v1.*\n {2}differs in 1 place: 3 files, 2.0 KiB.*\n {4}content +lib\/prices.js\n.*ticket 812/,
  )
  expect((await ctl.run(['drift', '--scan'])).code).toBe(0)
})

test('hotfixes are a table, with those whose node does not answer', async () => {
  const { stdout } = await ctl.run(['hotfix', 'list'])
  expect(stdout).toMatch(
    /NODE +LAYER +SINCE +UNTIL +BY +REASON\nalpha +app .*cdcdcdcdcdcd +ticket 812\nbeta has one and does not answer/,
  )
})

test('evidence is listed with who keeps it, and told with what was written last', async () => {
  expect((await ctl.run(['evidence', 'list'])).stdout).toMatch(
    /abababababab +alpha +app +shop:v1 .* failed +alpha beta gamma +http 500/,
  )
  const { stdout } = await ctl.run(['evidence', 'get', 'abab'])
  expect(stdout).toMatch(
    /program +backoff: exit code 3\n(.*\n)+ {2}content +lib\/prices.js.*\nlast output\nlistening\ncannot read prices/,
  )
  expect(await ctl.run(['evidence', 'get', 'ffff'])).toMatchObject({ code: 1 })
})

test('divergence names who runs what it should not, and exits with 1', async () => {
  const { code, stdout } = await ctl.run(['divergence'])
  expect(code).toBe(1)
  expect(stdout).toMatch(
    /^group web, layer app: wanted shop:v1; running: 2 nodes shop:v1, 1 node shop:v0\n {2}alpha runs shop:v0 for \d+d .* since it should not: it is failed\ngroup db: its ledger could not be read/,
  )
})
