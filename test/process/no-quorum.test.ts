import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

let box: Sandbox
afterEach(() => box?.close())

test('without a majority of voters fleetctl says so with an exit code of its own, before it gives up waiting', async () => {
  box = await sandbox()
  const layers = { app: { driver: 'process', command: ['sleep', '3600'] } }
  const [first, ...others] = await box.fleet(3, () => ({ group: 'web', layers }))
  await eventually(
    'the ledger to have three voters',
    async () => (await first!.json<{ voters: unknown[] }>('ledger', 'show', 'web')).voters.length === 3,
    { seconds: 30 },
  )
  mkdirSync(join(box.dir, 'v1'))
  await first!.json('image', 'build', join(box.dir, 'v1'), '--name', 'shop', '--version', 'v1')
  for (const other of others) {
    other.kill('SIGKILL')
    await other.exited()
  }
  const asked = [
    ['ledger', 'show', 'web'],
    ['rollout', 'start', '--group', 'web', '--layer', 'app', '--image', 'shop:v1', '--detach'],
    ['rollout', 'pause', '--group', 'web'],
    ['--timeout', '3s', 'rollout', 'status', '--group', 'web'],
  ]
  const answers = await Promise.all(asked.map(args => first!.ctl(...args)))
  for (const [at, { code, stderr }] of answers.entries())
    expect({ asked: asked[at]!.join(' '), code, stderr }).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/voters|quorum/),
    })
}, 90_000)
