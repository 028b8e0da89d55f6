import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import type { Policy, PublicKey } from '../../protocol/index.ts'
import { parseKeyFile } from '../../protocol/index.ts'
import type { Fake } from '../daemon/api/fake-service.ts'
import { type Bench, bench } from './support.ts'

// The policy's way from a file, or an editor, to signatures of those whom the old and the new one name.

let ctl: Bench
let fake: Fake
let count = 0
const keys: { file: string; key: PublicKey }[] = []
beforeAll(async () => {
  ctl = await bench()
  for (const name of ['second', 'third']) {
    const file = join(ctl.dir, `${name}.key`)
    await ctl.json('--key', file, 'key', 'new')
    keys.push({ file, key: parseKeyFile(readFileSync(file, 'utf8')).publicKey })
  }
})
beforeEach(async () => {
  fake = await ctl.claimed()
})
afterAll(() => ctl.close())

const policy = (): Policy => fake.authority!.policy
/** The policy in force as a file, with these changes. */
async function changed(change: Record<string, unknown>): Promise<string> {
  const { stdout } = await ctl.run(['policy', 'show', '--yaml'])
  const file = join(ctl.dir, `policy-${count++}.yaml`)
  writeFileSync(file, stringify({ ...parse(stdout), ...change }))
  return file
}
const apply = (file: string, ...more: string[]) => ctl.run(['policy', 'apply', file, ...more])

test('what show --yaml prints says what is in force, and applying it changes nothing', async () => {
  const file = await changed({})
  expect(parse(readFileSync(file, 'utf8'))).toEqual({
    operators: policy().operators,
    threshold: 1,
    publishers: policy().publishers,
    pushes: 'members',
    groups: { '*': {} },
  })
  const { code, stdout } = await apply(file)
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'policy 1 says so already\n' })
  expect(policy().version).toBe(1)
})

test('a budget takes one signature, and groups keep their first voters', async () => {
  const file = await changed({ groups: { '*': {}, web: { maxUnavailable: '25%' } } })
  const shown = await apply(file, '--dry-run')
  expect(shown.stdout).toBe('policy 2:\n  group web: at most 25% down at once\n')
  expect(policy().version).toBe(1)
  expect((await apply(file)).stdout).toMatch(/^policy 2 is in force here/)
  const { genesisVoters } = policy().groups['*']!
  expect(policy()).toMatchObject({ version: 2, groups: { web: { maxUnavailable: '25%', genesisVoters } } })
})

test('a second operator with a threshold of two signs too before it counts', async () => {
  const [second, third] = keys as [(typeof keys)[0], (typeof keys)[0]]
  const file = await changed({ operators: [...policy().operators, second.key], threshold: 2 })
  expect((await apply(file, '--dry-run')).stdout).toMatch(
    /\+ operator .*\n {2}2 instead of 1 .*\nCareful: all 2 operators/,
  )
  const alone = await apply(file)
  expect(alone).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/1 more signature of the operators of policy 2; .*--sign FILE.*policy approve FILE/),
  })
  const kept = join(ctl.dir, 'policy.signed')
  expect(await ctl.json('policy', 'apply', file, '--sign', kept)).toEqual({
    file: kept,
    version: 2,
    missing: { current: 0, own: 1 },
  })
  expect((await apply(file, '--sign', kept)).stderr).toMatch(/exists already/)
  const stranger = await ctl.run(['policy', 'approve', kept, '--key', third.file])
  expect(stranger).toMatchObject({ code: 5, stderr: expect.stringContaining('neither of policy 1 nor of the next') })
  expect(policy().version).toBe(1)
  // The same operator again is still one.
  expect(await ctl.json('policy', 'approve', kept)).toMatchObject({ missing: { current: 0, own: 1 } })
  const done = await ctl.run(['policy', 'approve', kept, '--key', second.file])
  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/^policy 2 is in force/) })
  expect(policy()).toMatchObject({ version: 2, threshold: 2, operators: { length: 2 } })
  const late = await ctl.run(['policy', 'approve', kept, '--key', second.file])
  expect(late).toMatchObject({ code: 6, stderr: expect.stringMatching(/does not follow policy 2 that is in force/) })
})

test('an operator who hands over signs with the one who comes after, who cannot take it alone', async () => {
  const [second] = keys as [(typeof keys)[0]]
  const file = await changed({ operators: [second.key] })
  const alone = await apply(file, '--key', second.file)
  expect(alone).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('1 more signature of the operators of policy 1'),
  })
  const kept = join(ctl.dir, 'handed.signed')
  await ctl.json('policy', 'apply', file, '--sign', kept)
  await ctl.json('policy', 'approve', kept, '--key', second.file)
  expect(policy()).toMatchObject({ version: 2, operators: [second.key] })
})

test.each<[string, Record<string, unknown>, number, RegExp]>([
  ['a threshold that its operators cannot reach', { threshold: 2 }, 2, /2 signatures cannot come from 1 operator/],
  ['an unknown key', { operator: [] }, 2, /policy-\d+\.yaml:\d+: unknown key operator; known are operators, threshold/],
  ['an unknown key of a group', { groups: { web: { maxDown: 1 } } }, 2, /:\d+: unknown key groups\.web\.maxDown/],
  ['a budget of nobody', { groups: { '*': { maxUnavailable: 0 } } }, 2, /groups\.\*\.maxUnavailable/],
  ['a key that is none', { publishers: ['me'] }, 2, /publishers\.0/],
  [
    'other first voters of a group that may have begun',
    { groups: { '*': { genesisVoters: ['12D3KooWGgAJF2KhNzna2fkpNMe4zhg1vAoMQjJpjLdM2SGcHNo9'] } } },
    5,
    /named by an earlier policy/,
  ],
])('%s is refused, and nothing is signed', async (_, change, code, stderr) => {
  expect(await apply(await changed(change))).toMatchObject({ code, stderr: expect.stringMatching(stderr) })
  expect(policy().version).toBe(1)
})

test('edit applies what the editor made of it, and keeps that where it cannot', async () => {
  const edit = (script: string) => ctl.run(['policy', 'edit'], { env: { EDITOR: script } })
  expect((await edit('true')).stdout).toBe('nothing was changed\n')
  expect((await edit("sed -i 's/^pushes: .*/pushes: publishers/'")).stdout).toMatch(/^policy 2 is in force/)
  expect(policy().pushes).toBe('publishers')
  const broken = await edit("sed -i 's/^threshold: .*/threshold: 5/'")
  expect(broken).toMatchObject({ code: 2, stderr: expect.stringMatching(/what you wrote is kept in (\S+);/) })
  const [, kept] = /kept in (\S+);/.exec(broken.stderr)!
  expect(readFileSync(kept!, 'utf8')).toMatch(/threshold: 5/)
  expect(await edit('false')).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing was applied') })
  expect(await ctl.run(['policy', 'edit'], { env: { EDITOR: '', VISUAL: '' } })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('policy show --yaml'),
  })
  expect(policy().version).toBe(2)
})
