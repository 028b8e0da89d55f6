import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import type { Policy } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// Three real daemons whose operator takes a second one beside him, while one of the three is away.

let box: Sandbox
let daemons: Daemon[]
let second: string
const policyOf = async (daemon: Daemon): Promise<Policy> =>
  (await daemon.json<{ policy: Policy }>('policy', 'show')).policy
const versions = () => Promise.all(daemons.map(async daemon => (await policyOf(daemon)).version))

beforeAll(async () => {
  box = await sandbox()
  daemons = await box.fleet(3, () => ({ group: 'web' }))
  second = join(box.dir, 'second.key')
  await daemons[0]!.json('--key', second, 'key', 'new')
}, 60_000)
afterAll(() => box?.close())

test('a policy with two operators is in force everywhere, also where a host was away, and outlives restarts', async () => {
  const [first, other, away] = daemons as [Daemon, Daemon, Daemon]
  away.kill('SIGTERM')
  await away.exited()

  const { publicKey } = await first.json<{ publicKey: string }>('--key', second, 'key', 'show')
  const file = join(box.dir, 'policy.yaml')
  const { stdout } = await first.ctl('policy', 'show', '--yaml')
  const before = parse(stdout)
  writeFileSync(
    file,
    stringify({
      ...before,
      operators: [...before.operators, publicKey],
      groups: { '*': {}, web: { maxUnavailable: 1 } },
    }),
  )
  expect((await first.ctl('policy', 'apply', file)).stdout).toMatch(/^policy 2 is in force here/)
  await eventually('the other to have it', async () => (await policyOf(other)).version === 2)

  // The second operator changes it again, by another daemon: whoever was away takes both, in their order.
  writeFileSync(file, stringify({ ...parse((await other.ctl('policy', 'show', '--yaml')).stdout), threshold: 2 }))
  const kept = join(box.dir, 'policy.signed')
  await other.json('--key', second, 'policy', 'apply', file, '--sign', kept)
  expect((await first.ctl('policy', 'approve', kept)).stdout).toMatch(/^policy 3 is in force here/)
  daemons[2] = await away.restart()
  await eventually('all to have it', async () => (await versions()).every(version => version === 3))
  daemons[1] = await other.restart()
  expect(await versions()).toEqual([3, 3, 3])
}, 90_000)

test('from then on one of the two cannot change it alone, and the audit log has both changes', async () => {
  const [first] = daemons as [Daemon]
  const file = join(box.dir, 'alone.yaml')
  writeFileSync(file, stringify({ ...parse((await first.ctl('policy', 'show', '--yaml')).stdout), threshold: 1 }))
  expect(await first.ctl('policy', 'apply', file)).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('1 more signature of the operators of policy 3'),
  })
  const { stdout } = await first.ctl('audit', 'list')
  for (const version of [2, 3]) expect(stdout).toContain(`policy ${version} is in force`)
  expect(await versions()).toEqual([3, 3, 3])
}, 60_000)
