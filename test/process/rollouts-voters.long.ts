import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditList, LedgerView, MemberView } from '../../protocol/index.ts'
import { type CtlResult, type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// Voters that are gone for good, with real daemons: `npm run test:rollout`.

const GROUP = ['--group', 'web']
const LAYERS = { app: { driver: 'process', command: ['sleep', '3600'], stopTimeout: '1s' } }

/** A fleet of so many hosts of one group that run shop:v1, and whose ledger has so many voters. */
interface Electorate {
  readonly box: Sandbox
  readonly daemons: Map<string, Daemon>
  /** Those that were killed and not started again. */
  readonly lost: Map<string, Daemon>
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
    lost: new Map(),
    ledger: (from = 'n0') => daemons.get(from)!.json<LedgerView>('ledger', 'show', 'web'),
    voters: async from => (await all.ledger(from)).voters.map(({ name }) => name).sort(),
    async lose(name) {
      const daemon = daemons.get(name)!
      daemon.kill('SIGKILL')
      await daemon.exited()
      daemons.delete(name)
      all.lost.set(name, daemon)
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

describe('the host that made the fleet is written off and gone', () => {
  let all: Electorate
  beforeAll(async () => {
    all = await electorate(4, 3)
  }, 120_000)
  afterAll(() => all?.box.close())

  /** That it answers within seconds: where voters that are gone are waited for to the end it takes most of a minute. */
  const answers = async (names: readonly string[], voters: string): Promise<void> => {
    for (const from of names)
      await eventually(`${from} to find the ledger`, async () => (await all.voters(from)).join() === voters, {
        seconds: 15,
      })
  }

  test('and its ledger is found after all others were killed, and by a host that joins', async () => {
    await all.lose('n0')
    const n1 = all.daemons.get('n1')!
    const [founder] = (await all.ledger('n1')).voters.filter(({ name }) => name === 'n0')
    expect(await n1.ctl('node', 'write-off', founder!.node, '--reason', 'its disk is dead')).toMatchObject({ code: 0 })
    await eventually('the others to vote', async () => (await all.voters('n1')).join() === 'n1,n2,n3')
    const names = [...all.daemons.keys()]
    for (const name of names) all.daemons.get(name)!.kill('SIGKILL')
    for (const name of names) {
      await all.daemons.get(name)!.exited()
      all.daemons.set(name, await all.daemons.get(name)!.restart())
    }
    await answers(names, 'n1,n2,n3')
    const { token } = await all.daemons.get('n1')!.json<{ token: string }>('invite', '--ttl', '1h')
    all.daemons.set('n4', await all.box.start({ name: 'n4', join: [token], group: 'web', layers: LAYERS }))
    await answers(['n4'], 'n1,n2,n3')
    await eventually('the host that joined to run what the group runs', async () => {
      const { members } = await all.daemons.get('n4')!.json<{ members: MemberView[] }>('members')
      const target = (await all.ledger('n4')).targets.app
      return members.find(({ name }) => name === 'n4')?.layers[0]?.digest === target
    })
  }, 180_000)
})

describe('three voters of five that will not come back', () => {
  let all: Electorate
  let gone: string[]
  let left: string[]
  beforeAll(async () => {
    all = await electorate(5, 5)
    gone = ['n1', 'n3', 'n4']
    left = ['n0', 'n2']
  }, 120_000)
  afterAll(() => all?.box.close())

  const recover = (...args: string[]): Promise<CtlResult> =>
    all.daemons.get('n2')!.ctl('--timeout', '60s', 'ledger', 'recover', 'web', '--reason', 'the rack burnt', ...args)
  const named = (): string[] => gone.flatMap(name => ['--lost', name])

  test('are not given up while a majority answers, nor unless each of them is named', async () => {
    const whole = await recover('--lost', 'n1')
    expect(whole).toMatchObject({ code: 5, stderr: expect.stringMatching(/5 of the 5 voters .* is not lost/) })
    for (const name of gone) await all.lose(name)
    expect(await all.daemons.get('n0')!.ctl('ledger', 'show', 'web')).toMatchObject({ code: 7 })
    const unnamed = await recover('--lost', 'n1')
    expect(unnamed).toMatchObject({ code: 5, stderr: expect.stringContaining('do not answer; see with your own eyes') })
    for (const name of gone) expect(unnamed.stderr).toContain(`--lost ${name}`)
    const alive = await recover(...named(), '--lost', 'n0')
    expect(alive).toMatchObject({ code: 5, stderr: expect.stringContaining('n0 is no voter') })
    const other = join(all.box.dir, 'other.key')
    expect((await all.daemons.get('n0')!.ctl('key', 'new', '--key', other)).code).toBe(0)
    expect(await recover('--key', other, ...named())).toMatchObject({ code: 5 })
  }, 120_000)

  test('are followed by those that are left once an operator signs so, with a permit for everybody until it is in service', async () => {
    const recovered = await recover(...named())
    expect(recovered.code, recovered.stderr).toBe(0)
    await eventually('all to have given back their permits', async () => (await all.ledger()).permits.length === 0)
    for (const from of left) {
      const ledger = await all.ledger(from)
      expect(ledger).toMatchObject({ phase: 'aborted', generation: 2, reason: 'the rack burnt' })
      expect(ledger.epoch).toBeGreaterThanOrEqual(1_000_000)
      expect(ledger.fenced).toHaveLength(3)
      expect(ledger.nextToken).toBeGreaterThan(1_000_000)
      expect(left).toEqual(expect.arrayContaining(ledger.voters.map(({ name }) => name)))
      // What ran goes on, and is what the group is meant to run.
      expect(Object.keys(ledger.targets)).toEqual(['app'])
    }
    const { entries } = await all.daemons.get('n0')!.json<AuditList>('audit', 'list', '--kind', 'recovery')
    expect(entries).toMatchObject([{ subject: 'web', text: expect.stringMatching(/3 lost voters: the rack burnt/) }])
  }, 120_000)

  test('roll on, also after all that are left were killed', async () => {
    for (const name of left) all.daemons.get(name)!.kill('SIGKILL')
    for (const name of left) {
      await all.daemons.get(name)!.exited()
      all.daemons.set(name, await all.daemons.get(name)!.restart())
    }
    await eventually('a majority to answer', async () => (await all.ledger()).generation === 2)
    const started = await all.start('n0', 'v2', '--detach')
    expect(started.code, started.stderr).toBe(0)
    await eventually('both to run v2', async () => {
      const { phase, generation } = await all.ledger()
      return phase === 'done' && generation === 3
    })
  }, 120_000)

  test('one of them that turns up all the same goes by what was decided, and votes no more', async () => {
    const back = await all.lost.get('n1')!.restart()
    all.daemons.set('n1', back)
    await eventually('it to have heard of the recovery', async () => {
      const { entries } = await back.json<AuditList>('audit', 'list', '--kind', 'recovery')
      return entries.length === 1
    })
    const { epoch, voters, fenced } = await all.ledger('n1')
    expect(epoch).toBeGreaterThanOrEqual(1_000_000)
    expect(voters.map(({ name }) => name)).not.toContain('n1')
    const { id } = await back.json<{ id: string }>('info')
    expect(fenced).toContain(id)
  }, 120_000)
})

test('a group that is new once the host that made the fleet is gone for good begins by a recovery', async () => {
  const all = await electorate(3, 3)
  try {
    const { id } = await all.daemons.get('n0')!.json<{ id: string }>('info')
    await all.lose('n0')
    for (const name of ['n1', 'n2']) all.daemons.set(name, await all.daemons.get(name)!.restart({ group: 'db' }))
    const n1 = all.daemons.get('n1')!
    await eventually('both to be of the new group', async () => {
      const { members } = await n1.json<{ members: MemberView[] }>('members', '--group', 'db', '--status', 'alive')
      return members.length === 2
    })
    expect(await n1.ctl('ledger', 'show', 'db')).toMatchObject({ code: 7 })
    // Nobody who is left has known it by its name since the restart.
    const done = await n1.ctl('--timeout', '60s', 'ledger', 'recover', 'db', '--lost', id, '--reason', 'it is gone')
    expect(done.code, done.stderr).toBe(0)
    const started = await n1.ctl(
      ...['--timeout', '60s', 'rollout', 'start', '--group', 'db', '--layer', 'app', '--image', 'shop:v1'],
      ...['--min-healthy', '100ms', '--deadline', '20s'],
    )
    expect(started.code, started.stderr).toBe(0)
  } finally {
    await all.box.close()
  }
}, 180_000)
