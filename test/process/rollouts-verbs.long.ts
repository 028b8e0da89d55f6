import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { AuditList, MemberView, RolloutStatusView } from '../../protocol/index.ts'
import type { Daemon } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'
import { GROUP, NAMES, type Shops, shops } from './shops.ts'

// Flags, gates and verbs that the other files of rollouts have not, with real daemons: `npm run test:rollout`.

let shop: Shops
let daemons: Daemon[]
beforeAll(async () => {
  shop = await shops()
  daemons = [...shop.daemons]
  expect((await shop.start('v1', '--strategy', 'at-once')).code).toBe(0)
}, 120_000)
afterAll(() => shop?.box.close())
beforeEach(() => shop.forget())

const gone = (): string[] => shop.disruptions().map(({ name }) => name)
const build = (version: string, ...flags: string[]): Promise<{ digest: string }> => {
  const source = join(shop.box.dir, `${version}.txt`)
  writeFileSync(source, version)
  return shop.first.json<{ digest: string }>(
    ...['image', 'build', source, '--kind', 'file', '--name', 'shop', '--version', version, ...flags],
  )
}
const member = async (name: string): Promise<MemberView> =>
  (await shop.first.json<{ members: MemberView[] }>('members')).members.find(found => found.name === name)!
const seenAs = (name: string, status: string): Promise<boolean> =>
  eventually(`${name} to be ${status}`, async () => (await member(name)).status === status)

const lose = async (index: number): Promise<void> => {
  daemons[index]!.kill('SIGKILL')
  await daemons[index]!.exited()
  await seenAs(NAMES[index]!, 'failed')
}
const back = async (index: number, layers?: Record<string, unknown>): Promise<void> => {
  daemons[index] = await daemons[index]!.restart(layers === undefined ? {} : { layers })
  await seenAs(NAMES[index]!, 'alive')
}

test('hosts are chosen by a tag, and the others are left alone', async () => {
  expect((await shop.start('v2', '--select', 'place=7|8', '--detach')).code).toBe(0)
  expect(await shop.reaches('done')).toMatchObject({ total: 2, ok: 2 })
  expect(gone().sort()).toEqual(['n2', 'n3'])
  expect((await member('n0')).layers[0]!.version).toBe('shop:v1')
}, 60_000)

test('a plan is read from a file, flags win, and what is no strategy is refused with what there is', async () => {
  const file = join(shop.box.dir, 'plan.yaml')
  writeFileSync(file, 'layer: app\nimage: shop:v2\nstrategy: canary\ncanary: 3\nsoak: 1h\n')
  const start = (...flags: string[]) => shop.first.ctl('rollout', 'start', ...GROUP, '--file', file, ...flags)
  expect(await start('--canary', '2', '--min-healthy', '100ms', '--detach')).toMatchObject({ code: 0 })
  const soaking = await shop.reaches('soaking')
  expect(soaking.image?.version).toBe('shop:v2')
  expect(soaking.waves[0]).toMatchObject({ nodes: 2, state: 'soaking' })
  await shop.verb('abort')
  writeFileSync(file, 'layer: app\nimage: shop:v2\nstrategy: surge\n')
  expect(await start()).toMatchObject({ code: 2, stderr: expect.stringMatching(/plan\.yaml:3: .*use rolling/) })
  const flag = await shop.start('v2', '--strategy', 'surge')
  expect(flag).toMatchObject({ code: 2, stderr: expect.stringMatching(/surge is not built.*use rolling/) })
}, 60_000)

test('a rollout in which nothing moves is paused when its progress deadline is over, and fleetctl exits with 4', async () => {
  await lose(3)
  const paused = await shop.start('v3', '--deadline', '5s', '--progress-deadline', '1s')
  expect(paused.code).toBe(4)
  expect(await shop.status()).toMatchObject({
    phase: 'paused',
    ok: 0,
    reason: expect.stringMatching(/nothing has moved/),
  })
  expect(gone()).toEqual([])
  await back(3)
  await shop.verb('resume', '--reason', 'it is back')
  const watched = await shop.first.ctl('rollout', 'status', ...GROUP, '--watch', '--timeout', '60s')
  expect(watched).toMatchObject({ code: 0 })
  expect(await shop.status()).toMatchObject({ phase: 'done', ok: 3 })
  const { rollouts } = await shop.first.json<{ rollouts: RolloutStatusView[] }>('rollout', 'list')
  expect(rollouts).toMatchObject([{ group: 'web', phase: 'done', image: { version: 'shop:v3' } }])
}, 120_000)

test('a host that was away while a barrier went by goes to the barrier first, and on from there', async () => {
  await build('v4', '--barrier')
  await build('v5')
  await lose(3)
  expect((await shop.start('v4', '--max-unavailable', '2')).code).toBe(0)
  await back(3)
  expect((await member('n3')).layers[0]!.version).not.toBe('shop:v4')
  expect((await shop.start('v5')).code).toBe(0)
  const { entries } = await daemons[3]!.json<AuditList>('audit', 'list', '--kind', 'activated', '--limit', '2')
  expect(entries.map(({ text }) => text)).toEqual([
    expect.stringMatching(/^shop:v4 runs in the place of /),
    'shop:v5 runs in the place of shop:v4',
  ])
  expect(await shop.status()).toMatchObject({ phase: 'done', ok: 4 })
}, 120_000)

test('there is no way back past an image that says so, but by a plan that insists', async () => {
  await build('v6', '--irreversible')
  expect((await shop.start('v6')).code).toBe(0)
  const undo = await shop.first.ctl('rollout', 'undo', ...GROUP)
  expect(undo).toMatchObject({ code: 5, stderr: expect.stringMatching(/no way back past shop:v6/) })
  expect(await shop.start('v5')).toMatchObject({ code: 5, stderr: expect.stringContaining('--force') })
  expect((await shop.start('v5', '--force', '--detach')).code).toBe(0)
  await shop.reaches('done')
}, 90_000)

test('an image that requires another waits where that does not run, and is refused where no host could follow', async () => {
  const layer = { driver: 'process', command: ['sleep', '3600'], stopTimeout: '1s' }
  for (const index of [0, 1]) await back(index, { app: layer, base: layer })
  await build('os')
  await build('v7', '--requires', 'base=shop:os')
  const nobody = await shop.start('v7')
  expect(nobody).toMatchObject({ code: 5, stderr: expect.stringMatching(/requires that layer base runs/) })
  // n0 alone gets what is required.
  const base = ['rollout', 'start', ...GROUP, '--layer', 'base', '--image', 'shop:os', '--select', 'place=10']
  expect(await shop.first.ctl(...base, '--min-healthy', '0s', '--timeout', '60s')).toMatchObject({ code: 0 })
  await shop.started('v7', '--max-unavailable', '2')
  await eventually('the one to have gone', async () =>
    (await member('n0')).layers.some(({ version }) => version === 'shop:v7'),
  )
  for (const name of ['n2', 'n3'])
    await eventually(`${name} to wait`, async () =>
      /waiting for layer base .* no such layer/.test(await shop.explain(name)),
    )
  const versions = await Promise.all(
    NAMES.map(async name => (await member(name)).layers.find(({ layer }) => layer === 'app')!.version),
  )
  expect(versions.slice(2)).toEqual(['shop:v5', 'shop:v5'])
  await shop.verb('abort', '--reason', 'base first')
}, 120_000)
