import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { RolloutStatusView } from '../../protocol/index.ts'
import { type CtlResult, type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { type Disruption, disruptions } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'

/** Four real daemons that run a shop, two in each of two zones, n3 with the lowest tag `place`; and what an operator does with them. */
export interface Shops {
  readonly box: Sandbox
  readonly daemons: readonly Daemon[]
  readonly first: Daemon
  /** While this file is there, the node's check fails. */
  sickness(name: string): string
  /** `rollout start` with this version of the shop. */
  start(version: string, ...flags: string[]): Promise<CtlResult>
  /** The same, detached; it has to be taken. */
  started(version: string, ...flags: string[]): Promise<void>
  status(): Promise<RolloutStatusView>
  reaches(phase: RolloutStatusView['phase']): Promise<RolloutStatusView>
  /** A verb of `rollout` on the group, which has to be taken. */
  verb(...args: string[]): Promise<void>
  explain(name: string): Promise<string>
  /** What was down and when, as the daemons logged it since `forget`. */
  disruptions(): Disruption[]
  forget(): void
}

export const GROUP = ['--group', 'web']
export const NAMES = ['n0', 'n1', 'n2', 'n3']
export const ZONES = [
  ['n0', 'n1'],
  ['n2', 'n3'],
]

/** `flags`: what the first daemon is started with besides. */
export async function shops(flags: readonly string[] = []): Promise<Shops> {
  const box = await sandbox()
  const sickness = (name: string): string => join(box.dir, `${name}.sick`)
  const daemons = await box.fleet(NAMES.length, index => ({
    group: 'web',
    zone: index < 2 ? 'a' : 'b',
    flags: ['--tag', `place=${10 - index}`, ...(index === 0 ? flags : [])],
    layers: {
      app: {
        driver: 'process',
        command: ['sleep', '3600'],
        stopTimeout: '1s',
        checks: [
          { name: 'well', exec: `test ! -e ${sickness(NAMES[index]!)}`, interval: '100ms', timeout: '5s', failures: 2 },
        ],
      },
    },
  }))
  const first = daemons[0]!
  await eventually('all to be alive', async () => {
    const { members } = await first.json<{ members: { status: string }[] }>('members')
    return members.filter(member => member.status === 'alive').length === NAMES.length
  })
  for (const version of ['v1', 'v2', 'v3']) {
    const dir = join(box.dir, version)
    mkdirSync(dir)
    writeFileSync(join(dir, 'version'), version)
    await first.json('image', 'build', dir, '--name', 'shop', '--version', version)
  }
  const watched = disruptions(daemons)
  const took = ({ code, stderr }: CtlResult): void =>
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })

  const shop: Shops = {
    box,
    daemons,
    first,
    sickness,
    start: (version, ...flags) =>
      first.ctl(
        ...['rollout', 'start', ...GROUP, '--layer', 'app', '--image', `shop:${version}`],
        ...['--min-healthy', '100ms', '--deadline', '20s', '--timeout', '60s', ...flags],
      ),
    started: async (version, ...flags) => took(await shop.start(version, ...flags, '--detach')),
    status: () => first.json<RolloutStatusView>('rollout', 'status', ...GROUP),
    reaches(phase) {
      let seen: RolloutStatusView | undefined
      return eventually(
        `the rollout to be ${phase}`,
        async () => {
          seen = await shop.status()
          return seen.phase === phase && seen
        },
        { seconds: 60, everyMs: 100, seen: () => seen },
      )
    },
    verb: async (...args) => took(await first.ctl('rollout', ...args, ...GROUP)),
    explain: async name => (await first.json<{ reason: string }>('rollout', 'explain', name)).reason,
    disruptions: () => watched.list(),
    forget: () => watched.forget(),
  }
  return shop
}
