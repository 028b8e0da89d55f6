import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleDaemon } from '../../build.mjs'
import {
  authorityFrom,
  type FleetId,
  generateKeyPair,
  type KeyPair,
  type LedgerView,
  type Millis,
  type NodeId,
  openPlan,
  PLAN,
  type Plan,
  POLICY,
  parseKeyFile,
  sign,
} from '../../protocol/index.ts'
import { auditEntries } from '../support/audit.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { disruptions } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'

// Plans that must not be obeyed, given to every node, and sent to all of them by a member that has turned bad: `npm run test:rollout`.

let box: Sandbox
/** Three of group web, and one of group db. */
let honest: Daemon[]
let rogue: Daemon
let fleet: FleetId
let operator: KeyPair
let ids: Map<string, NodeId>
/** The plan that has been carried out, and its generation. */
let carriedOut: Uint8Array
let good: Plan
let watched: ReturnType<typeof disruptions>

beforeAll(async () => {
  const program = resolve(import.meta.dirname, '../../dist/test/rogue-fleetd.js')
  await bundleDaemon(program, {
    'daemon/members/documents.ts': 'test/process/rogue/documents.ts',
    'daemon/rollout/rollouts.ts': 'test/process/rogue/rollouts.ts',
  })
  box = await sandbox()
  const layers = { app: { driver: 'process', command: ['sleep', '3600'], stopTimeout: '1s' } }
  const daemons = await box.fleet(5, index => ({
    group: index === 3 ? 'db' : 'web',
    layers,
    ...(index === 4 ? { name: 'rogue', program } : { flags: ['--tag', 'honest=yes'] }),
  }))
  honest = daemons.slice(0, 4)
  rogue = daemons[4]!
  watched = disruptions(daemons)
  const [first] = honest as [Daemon]
  ;({ fleet } = await first.json<{ fleet: FleetId }>('info'))
  operator = parseKeyFile(readFileSync(box.operatorKey, 'utf8'))
  await eventually('all to know all', async () => {
    const lists = await Promise.all(
      daemons.map(daemon => daemon.json<{ members: { name: string; id: NodeId; status: string }[] }>('members')),
    )
    ids = new Map(lists[0]!.members.map(({ name, id }) => [name, id]))
    return lists.every(({ members }) => members.filter(({ status }) => status === 'alive').length === 5)
  })
  const dir = join(box.dir, 'v1')
  mkdirSync(dir)
  writeFileSync(join(dir, 'version'), '1')
  await first.json('image', 'build', dir, '--name', 'shop', '--version', 'v1')
  const file = join(box.dir, 'plan')
  const start = ['rollout', 'start', '--layer', 'app', '--image', 'shop:v1', '--group', 'web', '--min-healthy', '100ms']
  await first.json(...start, '--sign', file)
  carriedOut = Uint8Array.from(Buffer.from(readFileSync(file, 'utf8').trim(), 'base64url'))
  expect(await submit(first, carriedOut)).toMatchObject({ status: 200 })
  await eventually('the rollout to be done', async () => (await ledger()).phase === 'done', { seconds: 60 })
  const { chain } = await first.json<{ chain: string[] }>('policy', 'show')
  good = openPlan(authorityFrom(chain.map(text => Buffer.from(text, 'base64url'))), carriedOut).body
}, 120_000)
afterAll(() => box?.close())

const ledger = (): Promise<LedgerView> => honest[0]!.json<LedgerView>('ledger', 'show', 'web')
const signed = (body: Partial<Plan>, ...keys: KeyPair[]): Uint8Array => {
  const plan: Plan = {
    ...good,
    ...{ generation: good.generation + 1, previous: good.image, force: true, reason: `${Math.random()}` },
    ...body,
  }
  return sign(PLAN, fleet, Date.now() as Millis, plan, keys.length > 0 ? keys : [operator]).bytes
}
const post = (daemon: Daemon, path: string, bytes: Uint8Array): Promise<{ status: number; detail?: string }> =>
  new Promise((done, fail) => {
    const headers = { 'content-type': 'application/json' }
    const call = request({ socketPath: daemon.socket, path, method: 'POST', headers, agent: false }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', part => {
        text += part
      })
      answer.once('end', () => done({ ...JSON.parse(text), status: answer.statusCode! }))
    })
    call.once('error', fail).end(JSON.stringify({ statement: Buffer.from(bytes).toString('base64url') }))
  })
const submit = (daemon: Daemon, bytes: Uint8Array) => post(daemon, '/v1/rollouts', bytes)
const refusals = (daemon: Daemon): string[] =>
  auditEntries(daemon.dir)
    .filter(({ kind }) => kind === 'plan-refused')
    .map(({ text }) => text)

/** What must not change: the ledger, and what each node runs since when. */
const standing = async (): Promise<unknown> => ({
  ledger: await ledger(),
  down: watched.list().length,
  programs: [...honest, rogue].map(({ dir }) => {
    try {
      return readFileSync(join(dir, 'layers/app/program.json'), 'utf8')
    } catch {
      return 'nothing runs'
    }
  }),
})

const changed = (bytes: Uint8Array): Uint8Array => {
  const other = Uint8Array.from(bytes)
  other[Buffer.from(bytes).indexOf('shop:v1')]! ^= 1
  return other
}
/** Name, the plan, the answer's status, the reason, and whether a node outside of the group can know. */
const CASES: readonly [string, () => Uint8Array, number, RegExp, boolean][] = [
  ['forged', () => signed({}, generateKeyPair()), 403, /not signed by an operator/, true],
  ['changed', () => changed(signed({})), 403, /does not verify/, true],
  ['expired', () => signed({ notAfter: (Date.now() - 1_000) as Millis }), 422, /expired on 20/, true],
  ['of a lower generation', () => signed({ generation: good.generation }), 409, /is not newer than generation/, false],
  [
    'for another group',
    () => signed({ roster: [...good.roster, ids.get('n3')!] }),
    422,
    /names n3, which is of group db/,
    true,
  ],
]

test.each(CASES)(
  'a plan that is %s is refused wherever it is given',
  async (_, make, status, reason) => {
    const before = await standing()
    const bytes = make()
    for (const daemon of honest) {
      const answer = await submit(daemon, bytes)
      expect(answer.detail, daemon.name).toMatch(reason)
      expect([status, 403, 422, 409]).toContain(answer.status)
      await eventually('an audit entry', () => refusals(daemon).some(text => reason.test(text)))
    }
    expect(await standing()).toEqual(before)
  },
  60_000,
)

test('a plan that was carried out is refused when it is given again, everywhere', async () => {
  const before = await standing()
  for (const daemon of honest) {
    expect(await submit(daemon, carriedOut)).toMatchObject({
      status: 409,
      detail: expect.stringMatching(/good for once/),
    })
    await eventually('an audit entry', () => refusals(daemon).some(text => /good for once/.test(text)))
  }
  expect(await standing()).toEqual(before)
}, 60_000)

test.each(CASES)(
  'a plan that is %s is refused by everybody when a member sends and proposes it',
  async (_, make, __, reason, all) => {
    const before = await standing()
    const bytes = make()
    const counts = new Map(honest.map(daemon => [daemon, refusals(daemon).filter(text => reason.test(text)).length]))
    await submit(rogue, bytes)
    for (const daemon of all ? honest : honest.slice(0, 3))
      await eventually(
        `${daemon.name} to tell its audit log`,
        () => refusals(daemon).filter(text => reason.test(text)).length > counts.get(daemon)!,
        // What gossip loses comes with a later comparison.
        { seconds: 60, seen: () => refusals(daemon) },
      )
    expect(await standing()).toEqual(before)
  },
  180_000,
)

test('two operators are demanded from now on, and a plan that one has signed is refused wherever it is given', async () => {
  const secondKey = join(box.dir, 'second.key')
  expect((await honest[0]!.ctl('key', 'new', '--key', secondKey)).code).toBe(0)
  const second = parseKeyFile(readFileSync(secondKey, 'utf8'))
  const { chain } = await honest[0]!.json<{ chain: string[] }>('policy', 'show')
  const { policy, chain: links } = authorityFrom(chain.map(text => Buffer.from(text, 'base64url')))
  const operators = [operator.publicKey, second.publicKey]
  const next = { ...policy, version: 2, previous: links[0]!.id, threshold: 2, operators }
  const statement = sign(POLICY, fleet, Date.now() as Millis, next, [operator, second]).bytes
  expect(await post(honest[0]!, '/v1/policy', statement)).toMatchObject({ status: 200 })
  await eventually('all to have policy 2', async () => {
    const views = await Promise.all(honest.map(daemon => daemon.json<{ chain: string[] }>('policy', 'show')))
    return views.every(view => view.chain.length === 2)
  })
  const before = await standing()
  const reason = /has 1 of the 2 operators' signatures that policy 2 demands/
  const given = signed({})
  for (const daemon of honest) {
    expect(await submit(daemon, given)).toMatchObject({ status: 403, detail: expect.stringMatching(reason) })
    await eventually('an audit entry', () => refusals(daemon).some(text => reason.test(text)))
  }
  expect(await standing()).toEqual(before)
}, 60_000)

test('a plan that the second operator approves is carried out', async () => {
  const [first] = honest as [Daemon]
  const file = join(box.dir, 'two.plan')
  const start = ['rollout', 'start', '--layer', 'app', '--image', 'shop:v1', '--group', 'web', '--reason', 'by two']
  // The one that has turned bad does nothing of it.
  const who = ['--select', 'honest=yes', '--min-healthy', '100ms']
  expect(await first.ctl(...start, ...who, '--sign', file)).toMatchObject({ code: 0 })
  const shown = await first.ctl('rollout', 'approve', file, '--dry-run')
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/by two/) })
  expect((await ledger()).generation).toBe(good.generation)
  const approved = await first.ctl('--key', join(box.dir, 'second.key'), 'rollout', 'approve', file, '--detach')
  expect(approved.code, approved.stderr).toBe(0)
  let seen: unknown
  await eventually(
    'the rollout to be done',
    async () => {
      const { phase, generation } = await ledger()
      const explained = honest.slice(0, 3).map(daemon => first.json('rollout', 'explain', daemon.name))
      seen = { phase, generation, explained: await Promise.all(explained) }
      return phase === 'done' && generation === good.generation + 1
    },
    { seconds: 40, seen: () => seen },
  )
}, 60_000)
