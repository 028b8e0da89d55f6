import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LedgerView, MemberView } from '../../protocol/index.ts'
import { type CtlResult, type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// Voters that are gone for good, with real daemons: `npm run test:rollout`.

const GROUP = ['--group', 'web']
const LAYERS = { app: { driver: 'process', command: ['sleep', '3600'], stopTimeout: '1s' } }

/** A fleet of so many hosts of one group that run shop:v1, and whose ledger has so many voters. */
interface Electorate {
  readonly box: Sandbox
  readonly daemons: Map<string, Daemon>
  ledger(from?: string): Promise<LedgerView>
  /** Names of the voters, in order. */
  voters(from?: string): Promise<string[]>
  lose(name: string): Promise<void>
  start(from: string, version: string, ...flags: string[]): Promise<CtlResult>
}

async function electorate(hosts: number, count: number): Promise<Electorate> {
  const box = await sandbox()
  const list = await box.fleet(hosts, () => ({ group: 'web', layers: LAYERS }))
  const daemons = new Map(list.map(daemon => [daemon.name, daemon]))
  const all: Electorate = {
    box,
    daemons,
    ledger: (from = 'n0') => daemons.get(from)!.json<LedgerView>('ledger', 'show', 'web'),
    voters: async from => (await all.ledger(from)).voters.map(({ name }) => name).sort(),
    async lose(name) {
      const daemon = daemons.get(name)!
      daemon.kill('SIGKILL')
      await daemon.exited()
      daemons.delete(name)
      const [other] = daemons.values()
      await eventually(`${name} to be seen as failed`, async () => {
        const { members } = await other!.json<{ members: MemberView[] }>('members')
        return members.some(member => member.name === name && member.status === 'failed')
      })
    },
    start: (from, version, ...flags) =>
      daemons
        .get(from)!
        .ctl(
          ...['--timeout', '60s', 'rollout', 'start', ...GROUP, '--layer', 'app', '--image', `shop:${version}`],
          ...['--min-healthy', '100ms', '--deadline', '20s', ...flags],
        ),
  }
  await eventually('the ledger to have its voters', async () => (await all.voters()).length === count, { seconds: 60 })
  for (const version of ['v1', 'v2']) {
    mkdirSync(join(box.dir, version))
    writeFileSync(join(box.dir, version, 'version'), version)
    await list[0]!.json('image', 'build', join(box.dir, version), '--name', 'shop', '--version', version)
  }
  expect(await all.start('n0', 'v1', '--strategy', 'at-once')).toMatchObject({ code: 0 })
  return all
}

describe('a voter of three that will not come back', () => {
  let all: Electorate
  beforeAll(async () => {
    all = await electorate(4, 3)
  }, 120_000)
  afterAll(() => all?.box.close())

  test('gives its place to another host once it is written off, so that the next loss is borne too', async () => {
    const before = await all.voters()
    const [first, second] = before.filter(name => name !== 'n0') as [string, string]
    const spare = [...all.daemons.keys()].find(name => !before.includes(name))!
    await all.lose(first)
    expect((await all.ledger()).epoch).toBe(2)
    const written = await all.daemons.get('n0')!.ctl('node', 'write-off', first, '--reason', 'its disk is dead')
    expect(written).toMatchObject({ code: 0 })
    const voters = ['n0', second, spare].sort()
    await eventually('the spare host to vote', async () => (await all.voters()).join() === voters.join())
    await all.lose(second)
    expect(await all.voters()).toEqual(voters)
    expect(await all.ledger()).toMatchObject({ phase: 'done', generation: 1 })
    // What is written off does not count, what is only failed does.
    expect(await all.start('n0', 'v2', '--max-unavailable', '1', '--detach')).toMatchObject({ code: 0 })
    const back = await all.daemons.get('n0')!.ctl('node', 'write-off', second, '--reason', 'so is its')
    expect(back).toMatchObject({ code: 0 })
    await eventually('the rollout to be done', async () => (await all.ledger()).phase === 'done')
  }, 120_000)
})
