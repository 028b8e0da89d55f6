import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RolloutStatusView } from '../../protocol/index.ts'
import { type Daemon, freePort, type Sandbox, sandbox } from '../support/daemons.ts'
import { disruptions, mostAtOnce } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'
import { steadyClient } from './steady-client.ts'

// What clients notice of an undo, whoever asked for it: `npm run test:rollout`. v1 and v2 serve, v3 answers 500.

const NODES = 4
const DEADLINE = 5_000
const GROUP = ['--group', 'web']

let box: Sandbox
let daemons: Daemon[]
let ports: number[]
let watched: ReturnType<typeof disruptions>

beforeAll(async () => {
  box = await sandbox()
  ports = await Promise.all(Array.from({ length: NODES }, freePort))
  daemons = await box.fleet(NODES, index => ({
    group: 'web',
    layers: {
      app: {
        driver: 'process',
        command: [process.execPath, 'server.js'],
        env: { PORT: String(ports[index]) },
        checks: [{ name: 'http', http: `http://127.0.0.1:${ports[index]}/`, interval: '200ms', failures: 3 }],
      },
    },
  }))
  watched = disruptions(daemons)
  for (const version of ['v1', 'v2', 'v3']) {
    const app = resolve(import.meta.dirname, '../demo/app', version)
    await daemons[0]!.json('image', 'build', app, '--name', 'shop', '--version', version)
  }
  expect(await start('v1', '--strategy', 'at-once')).toMatchObject({ code: 0 })
  expect(await start('v2')).toMatchObject({ code: 0 })
}, 180_000)
afterAll(() => box?.close())
beforeEach(() => watched.forget())

const start = async (version: string, ...flags: string[]) => {
  const { code, stderr } = await daemons[0]!.ctl(
    ...['--timeout', '90s', 'rollout', 'start', ...GROUP, '--layer', 'app', '--image', `shop:${version}`],
    ...['--min-healthy', '1s', '--deadline', `${DEADLINE}ms`, ...flags],
  )
  return { code, stderr }
}
const status = (): Promise<RolloutStatusView> => daemons[0]!.json<RolloutStatusView>('rollout', 'status', ...GROUP)
const reaches = (phase: RolloutStatusView['phase']): Promise<RolloutStatusView> =>
  eventually(
    `the rollout to be ${phase}`,
    async () => {
      const seen = await status()
      return seen.phase === phase && seen
    },
    { seconds: 90, everyMs: 50 },
  )
/** The program that a host runs: another one after each replacement and restart. */
const program = (daemon: Daemon): string => readFileSync(join(daemon.dir, 'layers/app/program.json'), 'utf8')

test('an undo under 200 requests a second fails none of them after one retry', async () => {
  const client = steadyClient(ports, { aSecond: 200 })
  await eventually('the client to be under way', () => client.made() > 100)
  expect((await daemons[0]!.ctl('rollout', 'undo', ...GROUP)).code).toBe(0)
  const undone = await reaches('rolled-back')
  const { requests, rate, retried, failed } = await client.end()
  console.log(`${requests} requests, ${rate.toFixed(0)} a second, ${retried} answered by another host`)
  expect(failed).toEqual([])
  expect(rate).toBeGreaterThan(190)
  expect(undone.generation).toBe(2)
  expect(watched.list()).toHaveLength(NODES)
  expect(mostAtOnce(watched.list())).toBe(1)
  expect(retried).toBeGreaterThan(0)
}, 120_000)

test('a canary that fails is undone within 10 s of its health deadline, and no other node is touched', async () => {
  const before = daemons.map(program)
  expect(await start('v3', '--strategy', 'canary', '--detach')).toMatchObject({ code: 0 })
  const undone = await reaches('rolled-back')
  const [canary, ...others] = watched.list()
  expect(undone).toMatchObject({ failed: 1, reason: expect.stringMatching(/^the canary failed: /) })
  expect(others).toEqual([])
  // From the start of its drain on, the deadline and what it took to have the image before in place and well.
  const took = canary!.end - canary!.begin
  expect(took).toBeGreaterThanOrEqual(DEADLINE)
  expect(took).toBeLessThanOrEqual(DEADLINE + 10_000)
  const same = daemons.filter((daemon, index) => program(daemon) === before[index]).map(({ name }) => name)
  expect(same).toEqual(daemons.map(({ name }) => name).filter(name => name !== canary!.name))
  console.log(`undone ${((took - DEADLINE) / 1000).toFixed(1)} s after the health deadline`)
}, 120_000)
