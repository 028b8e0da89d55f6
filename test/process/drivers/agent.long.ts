import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleAgent } from '../../../build.mjs'
import type { RolloutStatusView } from '../../../protocol/index.ts'
import { type CtlResult, type Daemon, type Sandbox, sandbox } from '../../support/daemons.ts'
import { disruptions, mostAtOnce } from '../../support/disruptions.ts'
import { eventually } from '../../support/wait.ts'

// Five daemons that replace themselves: `npm run test:drivers`.

const LAUNCHER = resolve(import.meta.dirname, '../../../dist/fleetd-launcher')
const COUNT = 5
const GROUP = ['--group', 'web']

let box: Sandbox
let daemons: Daemon[]
let first: Daemon
let watched: ReturnType<typeof disruptions>

beforeAll(async () => {
  box = await sandbox()
  daemons = await box.fleet(COUNT, index => ({
    group: 'web',
    within: [LAUNCHER, join(box.dir, `n${index}`, 'layers/agent')],
    layers: {
      agent: { driver: 'agent', patience: '2s' },
      app: { driver: 'process', command: ['sleep', '3600'] },
    },
  }))
  first = daemons[0]!
  watched = disruptions(daemons)
  await everybodyIs('alive')
  mkdirSync(join(box.dir, 'app'))
  writeFileSync(join(box.dir, 'app/version'), 'v1')
  await first.json('image', 'build', join(box.dir, 'app'), '--name', 'app', '--version', 'v1')
  await build('1.0.1')
  await build('1.0.2')
  await broken('1.0.3', 'process.exit(9)')
  await broken('1.0.4', 'setInterval(() => undefined, 1000)')
  expect((await rollout('app', 'app:v1', '--strategy', 'at-once')).code).toBe(0)
  await reaches('done')
}, 180_000)
afterAll(() => box?.close())

/** An image of this very fleetd that says that it is of another version. */
async function build(version: string): Promise<void> {
  const dir = join(box.dir, `fleetd-${version}`)
  await bundleAgent(dir, { version })
  await first.json('image', 'build', dir, '--name', 'fleetd', '--version', version)
}

/** An image of something that is no fleetd. */
async function broken(version: string, then: string): Promise<void> {
  const dir = join(box.dir, `fleetd-${version}`)
  mkdirSync(dir)
  writeFileSync(join(dir, 'fleetd.js'), `#!/usr/bin/env node\n${then}\n`, { mode: 0o755 })
  await first.json('image', 'build', dir, '--name', 'fleetd', '--version', version)
}

const rollout = (layer: string, image: string, ...flags: string[]): Promise<CtlResult> =>
  first.ctl(
    ...['rollout', 'start', ...GROUP, '--layer', layer, '--image', image, '--detach'],
    ...['--min-healthy', '200ms', '--deadline', '20s', ...flags],
  )

async function everybodyIs(status: string): Promise<void> {
  for (const daemon of daemons)
    await eventually(`all to be ${status} at ${daemon.name}`, async () => {
      const { members } = await daemon.json<{ members: { status: string }[] }>('members')
      return members.filter(member => member.status === status).length === COUNT
    })
}

/** The end of a rollout. The daemon that is asked is itself being replaced now and then. */
function reaches(phase: RolloutStatusView['phase']): Promise<RolloutStatusView> {
  let seen: RolloutStatusView | undefined
  return eventually(
    `the rollout to be ${phase}`,
    async () => {
      seen = await first.json<RolloutStatusView>('rollout', 'status', ...GROUP)
      return seen.phase === phase && seen
    },
    { seconds: 120, everyMs: 200, seen: () => seen },
  )
}

interface Self {
  readonly id: string
  readonly epoch: number
  readonly version: string
}
async function selves(): Promise<Self[]> {
  const all = await first.json<{ members: { id: string; name: string; epoch: number }[] }>('members')
  return Promise.all(
    daemons.map(async ({ name, json }) => {
      const { id, epoch } = all.members.find(member => member.name === name)!
      const { fleetd } = await json<{ fleetd: { version: string } | string }>('version')
      return { id, epoch, version: typeof fleetd === 'string' ? fleetd : fleetd.version }
    }),
  )
}

/** The programs of the other layer, which are none of the agent's business. */
const programs = (): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter(pid => {
      try {
        return Number.isInteger(pid) && /\/layers\/app\/slots\//.test(within(readlinkSync(`/proc/${pid}/cwd`)))
      } catch {
        return false
      }
    })
    .sort()
const within = (path: string): string => (path.startsWith(box.dir) ? path : '')

async function replacedBy(version: string): Promise<void> {
  watched.forget()
  const [before, running] = [await selves(), programs()]
  expect((await rollout('agent', `fleetd:${version}`)).code).toBe(0)
  expect(await reaches('done')).toMatchObject({ ok: COUNT, failed: 0, permits: [] })
  await everybodyIs('alive')
  const after = await selves()
  expect(after.map(self => self.version)).toEqual(Array(COUNT).fill(version))
  expect(after.map(self => self.id)).toEqual(before.map(self => self.id))
  for (const [index, self] of after.entries()) expect(self.epoch).toBeGreaterThan(before[index]!.epoch)
  const list = watched.list()
  expect(list).toHaveLength(COUNT)
  expect(list.every(({ end }) => Number.isFinite(end))).toBe(true)
  expect(mostAtOnce(list)).toBe(1)
  // What runs in the other layer was not touched.
  expect(programs()).toEqual(running)
}

test('five daemons take the first fleetd that is an image, one at a time, as who they were and with the programs that they had', async () => {
  await replacedBy('1.0.1')
}, 240_000)

test('and a newer one in the place of that', async () => {
  await replacedBy('1.0.2')
}, 240_000)

test.each([
  ['ends at once', '1.0.3', /it ended 3 times/],
  ['hangs', '1.0.4', /did not prove itself within/],
])(
  'a build that %s is flipped back by the launcher, and the rollout with it',
  async (_, version, why) => {
    watched.forget()
    const before = await selves()
    const { code, stderr } = await rollout('agent', `fleetd:${version}`, '--max-failed', '1', '--deadline', '4s')
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
    const undone = await reaches('rolled-back')
    expect(undone).toMatchObject({ failed: 1, permits: [] })
    expect(undone.reason).toMatch(why)
    await everybodyIs('alive')
    const after = await selves()
    expect(after.map(({ id, version }) => ({ id, version }))).toEqual(
      before.map(({ id, version }) => ({ id, version })),
    )
    // One went, and nobody else: they have the epoch that they had.
    expect(after.filter((self, index) => self.epoch !== before[index]!.epoch)).toHaveLength(1)
    expect(watched.list()).toHaveLength(1)
  },
  240_000,
)
