import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RolloutHistory } from '../../protocol/index.ts'
import { mostAtOnce } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'
import { GROUP, type Shops, shops, ZONES } from './shops.ts'

// Strategies and verbs with real daemons; `npm run test:rollout` has the rest of the gates (rollouts.long.ts).

let shop: Shops
beforeAll(async () => {
  shop = await shops()
}, 60_000)
afterAll(() => shop?.box.close())
beforeEach(() => shop.forget())

test('at-once takes all of them together, and only when asked for by that name', async () => {
  const { code, stderr } = await shop.start('v1', '--max-unavailable', '100%')
  expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringContaining('--strategy at-once') })
  expect((await shop.start('v1', '--strategy', 'at-once')).code).toBe(0)
  expect(await shop.status()).toMatchObject({ phase: 'done', ok: 4, waves: [] })
  expect(shop.disruptions()).toHaveLength(4)
}, 60_000)

test('waves go in the order of a tag, soak in between, and say so', async () => {
  await shop.started('v2', '--strategy', 'waves', '--waves', '1,50%', '--soak', '1h', '--order-by', 'place')
  const soaking = await shop.reaches('soaking')
  expect(soaking.waves).toMatchObject([
    { nodes: 1, ok: 1, state: 'soaking' },
    { nodes: 1, state: 'waiting' },
    { nodes: 2, state: 'waiting' },
  ])
  await eventually('the last to explain itself', async () =>
    /wave 1 of 3 must stay well/.test(await shop.explain('n0')),
  )
  await shop.verb('promote')
  await eventually('the second wave to have gone', async () => (await shop.status()).waves[1]?.state === 'soaking')
  expect(await shop.explain('n2')).toMatch(/it has done its part/)
  await shop.verb('promote')
  await shop.reaches('done')
  const order = shop.disruptions().map(({ name }) => name)
  expect([order.slice(0, 2), order.slice(2).sort()]).toEqual([
    ['n3', 'n2'],
    ['n0', 'n1'],
  ])
  expect(mostAtOnce(shop.disruptions())).toBe(1)
}, 60_000)

test('no more of one zone are down than the plan allows, however large its budget', async () => {
  await shop.started('v1', '--max-unavailable', '3', '--max-per-zone', '1')
  await shop.reaches('done')
  const list = shop.disruptions()
  expect(list).toHaveLength(4)
  for (const zone of ZONES) expect(mostAtOnce(list.filter(({ name }) => zone.includes(name)))).toBe(1)
}, 60_000)

test('--dry-run says what a plan would touch, for how long and what is unwise about it, and submits nothing', async () => {
  const { code, stdout } = await shop.start(
    'v2',
    '--dry-run',
    '--max-unavailable',
    '2',
    '--force',
    '--soak',
    '1m',
    '--canary',
    '1',
  )
  expect(code).toBe(0)
  expect(stdout).toMatch(/4 nodes in 2 zones, 0 of them there already; at most 2 down at once \(50 %\)/)
  expect(stdout).toMatch(/about 1m 30s when nothing fails.*at most 2m/)
  expect(stdout).toMatch(/careful: all 2 hosts of zone a may be down at once/)
  expect((await shop.status()).generation).toBe(3)
}, 60_000)

test('a member that was down before the plan was made counts against its budget until it is back', async () => {
  const [, , , last] = shop.daemons
  last!.kill('SIGKILL')
  await eventually('it to be seen as failed', async () => {
    const { members } = await shop.first.json<{ members: { name: string; status: string }[] }>('members')
    return members.some(({ name, status }) => name === 'n3' && status === 'failed')
  })
  const { stdout } = await shop.start('v3', '--dry-run')
  expect(stdout).toMatch(/careful: 1 of the group is down \(n3\) .*: nobody goes until/)
  expect(stdout).toMatch(/not {2}n3: it is failed/)
  await shop.started('v3')
  await eventually('the others to wait for it', async () => {
    const reasons = await Promise.all(['n0', 'n1', 'n2'].map(shop.explain))
    return reasons.every(reason => /1 of the group's members are down/.test(reason))
  })
  expect(shop.disruptions()).toEqual([])
  await last!.restart()
  await shop.reaches('done')
  expect(
    shop
      .disruptions()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(['n0', 'n1', 'n2'])
}, 60_000)

test('what was done can be read, and gone back to by its number', async () => {
  const history = await shop.first.json<RolloutHistory>('rollout', 'history', ...GROUP)
  expect(history.generations.map(({ generation, phase, image }) => `${generation} ${phase} ${image.version}`)).toEqual([
    '4 done shop:v3',
    '3 done shop:v1',
    '2 done shop:v2',
    '1 done shop:v1',
  ])
  const unknown = await shop.first.ctl('rollout', 'undo', '--to', '9', ...GROUP)
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('no generation 9') })
  expect((await shop.first.ctl('rollout', 'undo', '--to', '2', '--detach', ...GROUP)).code).toBe(0)
  expect(await shop.status()).toMatchObject({
    generation: 5,
    image: { version: 'shop:v2' },
    reason: 'back to generation 2',
  })
  await shop.verb('abort', '--reason', 'never mind')
  expect(await shop.status()).toMatchObject({ phase: 'aborted', reason: 'never mind' })
}, 60_000)
