import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { FleetError, generateKeyPair, type Millis, nodeIdOf } from '../../protocol/index.ts'
import { type Fake, member, RECOVERED } from '../daemon/api/fake-service.ts'
import { type Bench, bench, type Run } from './support.ts'

let ctl: Bench
let fake: Fake
beforeAll(async () => {
  ctl = await bench()
})
beforeEach(async () => {
  fake = await ctl.claimed()
  await ctl.json('image', 'build', ctl.dir, '--name', 'shop', '--version', 'v2')
})
afterAll(() => ctl.close())

const start = (...more: string[]): string[] => ['rollout', 'start', '--layer', 'app', '--image', 'shop:v2', ...more]

test('start signs a plan with the defaults, which the daemon accepts as an operator’s', async () => {
  const status = await ctl.json<{ generation: number }>(...start('--detach', '--reason', 'try'))
  expect(status.generation).toBe(1)
  expect(fake.plans).toHaveLength(1)
  expect(fake.plans[0]).toMatchObject({
    ...{ group: 'web', generation: 1, layer: 'app', version: 'shop:v2', previous: null, strategy: 'rolling' },
    ...{
      canary: 0,
      maxUnavailable: 1,
      minHealthy: 30_000,
      deadline: 300_000,
      maxFailed: 3,
      force: false,
      reason: 'try',
    },
  })
  expect(new Set(fake.plans[0]!.roster)).toEqual(new Set(fake.members.map(({ id }) => id)))
})

test('every flag of start reaches the plan', async () => {
  fake.members = [
    member('a', { tags: { rack: '1' } }),
    member('b', { tags: { rack: '2' } }),
    member('c', { tags: { rack: '1' } }),
  ]
  await ctl.json(
    ...start('--detach', '--group', 'web', '--strategy', 'canary', '--canary', '2', '--max-unavailable', '50%'),
    ...['--min-healthy', '2s', '--deadline', '8s', '--max-failed', '5', '--select', 'rack=1', '--force'],
  )
  expect(fake.plans[0]).toMatchObject({
    ...{
      strategy: 'canary',
      canary: 2,
      maxUnavailable: 1,
      minHealthy: 2_000,
      deadline: 8_000,
      maxFailed: 5,
      force: true,
    },
  })
  expect(fake.plans[0]!.roster).toHaveLength(2)
})

test('a plan may stand in a file, and flags win over it', async () => {
  const file = join(ctl.dir, 'plan.yaml')
  await writeFile(file, 'layer: app\nimage: shop:v2\nminHealthy: 7s\nmaxUnavailable: 50%\nstrategy: canary\n')
  await ctl.json('rollout', 'start', '--file', file, '--min-healthy', '9s', '--detach')
  expect(fake.plans[0]).toMatchObject({
    minHealthy: 9_000,
    strategy: 'canary',
    canary: 1,
    maxFailed: 1,
    maxUnavailable: 1,
  })
})

test.each([
  ['layer: app\nimage: shop:v2\nminHealthi: 7s\n', /plan\.yaml:3: unknown key minHealthi; known are layer/],
  ['layer: app\nminHealthy: soon\n', /plan\.yaml:2: minHealthy: expected a length of time/],
  ['layer: [app\n', /plan\.yaml:\d: not valid YAML/],
  ['layer: app\n', /--image is missing/],
])('a bad plan file is refused with its line: %j', async (text, message) => {
  const file = join(ctl.dir, 'plan.yaml')
  await writeFile(file, text)
  const { code, stderr } = await ctl.run(['rollout', 'start', '--file', file])
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
})

test('--dry-run shows whom it would reach and submits nothing, with no key at hand', async () => {
  fake.members = [...fake.members, member('down', { status: 'failed' })]
  const { code, stdout } = await ctl.run([...start('--strategy', 'canary', '--dry-run'), '--key', '/nonexistent'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/3 nodes in 2 zones, 0 of them there already; at most 1 down at once/)
  expect(stdout).toMatch(/not +down: it is failed/)
  expect(stdout.match(/\(canary\)/g)).toHaveLength(1)
  expect(fake.plans).toEqual([])
})

const REFUSALS: readonly [string, (of: Fake) => void, number, RegExp][] = [
  [
    'another generation is active',
    of => of.push({ generation: 4, phase: 'rolling' }),
    6,
    /generation 4 of group web is rolling/,
  ],
  [
    'the image failed here before',
    of => {
      of.denied = [...of.images.keys()]
    },
    5,
    /failed in group web before.*--force/,
  ],
  [
    'nobody would be reached',
    of => {
      of.members = []
    },
    5,
    /would reach nobody/,
  ],
  [
    'too few voters answer',
    of => {
      of.service.submitPlan = () => Promise.reject(new FleetError('no-quorum', 'too few'))
    },
    7,
    /too few/,
  ],
]
test.each(REFUSALS)('start is refused when %s', async (_, arrange, exit, message) => {
  arrange(fake)
  const { code, stderr } = await ctl.run(start())
  expect(code).toBe(exit)
  expect(stderr).toMatch(message)
  expect(fake.plans).toEqual([])
})

/** Starts a rollout and follows it: one node goes once the beginning was shown, and it ends once that was. */
async function followed(end: Parameters<Fake['push']>[0], ...more: string[]): Promise<Run> {
  let seen = 0
  return ctl.run(start(...more), {
    onStdout: text => {
      const lines = text.split('\n').length - 1
      if (seen < 1 && lines >= 1) fake.push({ ok: 1, pending: 2, permits: [PERMIT(fake)] })
      if (seen < 2 && lines >= 2) fake.push(end)
      seen = lines
    },
  })
}

const PERMIT = (of: Fake) => ({ token: 5, node: of.id, name: 'alpha', kind: 'replace', since: 1 as Millis })

test.each([
  [{ phase: 'done', ok: 3, pending: 0, permits: [] }, 0, ''],
  [{ phase: 'aborted', reason: 'enough' }, 1, 'generation 1 of group web is aborted: enough'],
  [
    { phase: 'rolled-back', reason: 'the canary failed' },
    3,
    'generation 1 of group web is rolled-back: the canary failed',
  ],
  [{ phase: 'paused', reason: 'lunch' }, 4, 'generation 1 of group web is paused: lunch'],
  [{ generation: 2 }, 6, 'generation 2 of group web has begun since'],
] as const)('start follows the rollout; %j ends it with exit code %i', async (end, exit, message) => {
  const { code, stdout, stderr } = await followed(end)
  expect(code).toBe(exit)
  expect(stderr).toContain(message)
  expect(stdout).toMatch(/web generation 1 rolling: shop:v2 on 0 of 3, 0 failed, 3 pending/)
  expect(stdout).not.toContain('\u001b')
})

test('a followed rollout is one JSON object a line', async () => {
  const { code, stdout } = await followed({ phase: 'done', ok: 3, pending: 0 }, '--format', 'json')
  expect(code).toBe(0)
  const phases = stdout
    .trimEnd()
    .split('\n')
    .map(line => (JSON.parse(line) as { phase: string }).phase)
  expect(phases.at(-1)).toBe('done')
  expect(phases[0]).toBe('rolling')
})

test('a follower outlives a daemon that goes away for a moment', async () => {
  const watch = fake.service.watchRollout
  let cut = 0
  fake.service.watchRollout = async function* (group, signal) {
    if (cut++ === 0) {
      yield fake.status
      return // the stream ends, as when the daemon restarts
    }
    yield* watch(group, signal)
  }
  const { code } = await followed({ phase: 'done', ok: 3, pending: 0 })
  expect(code).toBe(0)
  expect(cut).toBeGreaterThan(1)
})

test('--timeout ends a follower with exit code 9, and leaves the rollout alone', async () => {
  const { code, stderr } = await ctl.run(['--timeout', '1s', ...start()])
  expect(code).toBe(9)
  expect(stderr).toContain('not done within 1 s')
  expect(fake.orders).toEqual([])
})

test('status says where it stands, and --watch follows it to its end', async () => {
  expect((await ctl.run(['rollout', 'status'])).stdout).toBe('group web has had no rollout yet\n')
  await ctl.json(...start('--detach'))
  expect(await ctl.json('rollout', 'status', '--group', 'web')).toMatchObject({
    group: 'web',
    generation: 1,
    phase: 'rolling',
    waves: [],
  })
  fake.push({ phase: 'paused' })
  const watched = await ctl.run(['rollout', 'status', '--watch'], {
    onStdout: text => {
      if (text.includes('paused') && fake.status.phase === 'paused') fake.push({ phase: 'rolled-back' })
    },
  })
  expect(watched.code).toBe(3)
  expect((await ctl.run(['rollout', 'list'])).stdout).toMatch(/web +1 +rolled-back +shop:v2/)
  expect(await ctl.json('rollout', 'list')).toMatchObject({ rollouts: [{ group: 'web' }] })
})

test.each(['pause', 'resume', 'promote', 'abort', 'undo'])(
  '%s signs an order about the newest generation',
  async verb => {
    await ctl.json(...start('--detach'))
    expect((await ctl.run(['rollout', verb, '--group', 'web', '--reason', 'because'])).code).toBe(0)
    expect(fake.orders).toEqual([{ group: 'web', generation: 1, verb, reason: 'because' }])
  },
)

test('an order where there was no rollout, or that the ledger refuses, is a conflict', async () => {
  expect((await ctl.run(['rollout', 'pause'])).code).toBe(6)
  await ctl.json(...start('--detach'))
  fake.service.order = async () => {
    throw new FleetError('conflict', 'it is paused already')
  }
  expect(await ctl.run(['rollout', 'pause'])).toMatchObject({
    code: 6,
    stderr: 'fleetctl: rollout pause: it is paused already\n',
  })
})

test('write-off names its node by id in the order', async () => {
  await ctl.json(...start('--detach'))
  expect((await ctl.run(['node', 'write-off', 'beta', '--reason', 'disk died'])).code).toBe(0)
  expect(fake.orders).toMatchObject([{ verb: 'write-off', node: fake.members[1]!.id, reason: 'disk died' }])
  expect((await ctl.run(['node', 'write-off', 'beta'])).code).toBe(2)
  // Gone for so long that nobody lists it, and its permit is still there.
  const gone = nodeIdOf(generateKeyPair().publicKey)
  expect((await ctl.run(['node', 'write-off', gone, '--reason', 'disk died'])).code).toBe(0)
  expect(fake.orders.at(-1)).toMatchObject({ verb: 'write-off', node: gone })
  expect((await ctl.run(['node', 'write-off', `${gone}x`, '--reason', 'disk died'])).code).toBe(1)
})

test('explain tells of a node in one sentence', async () => {
  expect((await ctl.run(['rollout', 'explain', 'gam'])).stdout).toBe(
    'gamma: app: waiting for the canary to be healthy\n',
  )
  expect(await ctl.json('rollout', 'explain', 'gamma')).toMatchObject({ name: 'gamma', group: 'web' })
  expect((await ctl.run(['rollout', 'explain', 'nobody'])).code).toBe(1)
})

test('a ledger is recovered only when each voter that does not answer is named, and by an operator', async () => {
  const [lost] = RECOVERED.lost
  const recover = (...more: string[]) => ctl.run(['ledger', 'recover', 'web', '--reason', 'burnt', ...more])
  const unnamed = await recover()
  expect(unnamed.stderr).toContain(`${lost} (connection refused) do not answer`)
  expect(unnamed).toMatchObject({ code: 5, stderr: expect.stringContaining(`ledger recover web --lost ${lost} `) })
  const wrong = await recover('--lost', lost!, '--lost', 'beta')
  expect(wrong).toMatchObject({ code: 5, stderr: expect.stringMatching(/beta is no voter .* does not answer/) })
  expect(fake.recovery).toBeUndefined()
  const done = await recover('--lost', lost!)
  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/goes on with alpha \(epoch 2\)/) })
  expect(fake.recovery).toEqual({ ...RECOVERED, reason: 'burnt' })
})
