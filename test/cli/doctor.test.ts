import { describe, expect, test } from 'vitest'
import { bySeverity, diagnose } from '../../cli/doctor/diagnose.ts'
import type { Facts, LedgerFact } from '../../cli/doctor/types.ts'
import { createProgram } from '../../cli/program.ts'
import type {
  Address,
  Checkup,
  Info,
  LedgerView,
  MemberView,
  Millis,
  NodeId,
  PeerCheck,
  RolloutStatusView,
} from '../../protocol/index.ts'
import { fakeService, member } from '../daemon/api/fake-service.ts'

const fake = fakeService()
const ALPHA = member('alpha', { id: fake.id })
const [BETA, GAMMA, DELTA] = [member('beta'), member('gamma'), member('delta')]
const INFO: Info = { ...((await fake.service.info()) as Info), fleet: 'ab'.repeat(32) as Info['fleet'] }
const LEDGER = await fake.service.ledger('web', AbortSignal.timeout(1_000))
const VOTERS = [ALPHA, BETA, GAMMA].map(({ id: node, name }) => ({ node, name }))

const peer = ({ id: node, name, status, addrs }: MemberView, change: Partial<PeerCheck> = {}): PeerCheck => ({
  ...{ node, name, status, addresses: addrs, port: 'open', silence: null, back: 'open' },
  clock: { aheadMs: 3, errorMs: 1 },
  ...change,
})
const ledger = (change: Partial<LedgerView> = {}): LedgerFact => ({
  group: 'web',
  ledger: { ...LEDGER, permits: [], voters: VOTERS, ...change },
})

/** A fleet with which all is well, but for what is changed. */
function facts(change: Partial<Omit<Facts, 'checkup'>> & { checkup?: Partial<Checkup> } = {}): Facts {
  const { checkup, ...rest } = change
  return {
    fleetctl: INFO.version,
    info: INFO,
    members: [ALPHA, BETA, GAMMA, DELTA],
    rollouts: [],
    ledgers: [ledger()],
    ...rest,
    checkup: { ...fake.checkup, peers: [BETA, GAMMA, DELTA].map(each => peer(each)), ...checkup },
  }
}

/** `check severity: what`, and then what is said to mend it, of everything that is found. */
const found = (given: Facts): string[] =>
  bySeverity(diagnose(given)).map(
    ({ check, severity, what, mend, on, run }) => `${check} ${severity}: ${what} | ${mend} | on ${on}: ${run}`,
  )
const apart = (...ahead: readonly number[]): PeerCheck[] =>
  [BETA, GAMMA, DELTA]
    .slice(0, ahead.length)
    .map((each, at) => peer(each, { clock: { aheadMs: ahead[at]!, errorMs: 10 } }))
const rollout = (change: Partial<RolloutStatusView>): RolloutStatusView => ({
  ...{ ...fake.status, generation: 7, phase: 'rolling' },
  ...change,
})

test('a fleet with which all is well has no findings, and every check says what it looked at', () => {
  const checked = diagnose(facts())
  expect(checked.flatMap(({ findings }) => findings)).toEqual([])
  expect(checked.map(({ check, good }) => `${check}: ${good}`)).toEqual([
    `fleet: one of 4 members of abababababab, with 2 open links`,
    'identity: nobody else speaks with the key of this node',
    'members: 4 alive, nobody failed',
    'ports: 3 other members can be connected to',
    'reachable: 3 other members can connect to this node',
    'answers: 3 other members answered',
    'clock: within a second of 3 other members',
    'disk: 16.0 GiB free, of which images leave 1.0 GiB; they take 1.0 GiB of 8.0 GiB',
    'images: no damaged chunk',
    'load: the daemon answers its neighbours in time',
    'health: checks pass on 4 members',
    'quorum: the ledgers of 1 group can be read from a majority',
    'rollouts: none yet',
    'versions: 0.1.0 everywhere',
    'taints: every slot is its image, as far as it was compared',
  ])
})

test('a node that is alone is well too', () => {
  const alone = facts({
    members: [ALPHA],
    ledgers: [ledger({ voters: VOTERS.slice(0, 1) })],
    checkup: { peers: [], links: 0 },
  })
  expect(found(alone)).toEqual([])
})

const dead = (of: MemberView): MemberView => ({ ...of, status: 'failed' })

const CASES: readonly (readonly [name: string, given: Facts, expected: readonly (string | RegExp)[]])[] = [
  [
    'a daemon of no fleet',
    facts({ info: { ...INFO, fleet: null }, members: [], ledgers: [] }),
    [/^fleet problem: this daemon belongs to no fleet \| .*fleetctl join TOKEN.* \| on alpha: fleetctl init$/],
  ],
  [
    'no connection to anybody',
    facts({ checkup: { links: 0 } }),
    [
      /^fleet problem: this daemon has no connection to any of 3 other members \|.*\| on alpha: fleetctl join 192.0.2.10:7946$/,
    ],
  ],
  [
    'a copied data directory',
    facts({ checkup: { twin: { at: fake.checkup.at, addresses: ['/ip4/192.0.2.77/tcp/7946' as Address] } } }),
    [
      /^identity problem: another daemon at 192\.0\.2\.77:7946 speaks with this node's key: its data directory .* was copied.*\| Stop the copy/,
    ],
  ],
  [
    'a copy that was stopped a while ago',
    facts({ checkup: { twin: { at: (fake.checkup.at - 11 * 60_000) as Millis, addresses: [] } } }),
    [],
  ],
  [
    'a clock that all others contradict',
    facts({ checkup: { peers: apart(90_000, 91_000, 89_000) } }),
    [
      /^clock problem: the clock of this host is 1m 30s behind, by what 3 of 3 members say \|.*\| on alpha: timedatectl/,
    ],
  ],
  [
    'the clock of one other',
    facts({ checkup: { peers: apart(2, -20_000, 7) } }),
    [/^clock warning: the clock of gamma is 20s behind \|.*\| on gamma: timedatectl/],
  ],
  [
    'two clocks of two hosts',
    facts({ checkup: { peers: apart(-600_000) } }),
    [/^clock problem: the clocks of this host and of beta are 10m apart \|.*\| on alpha and beta: timedatectl/],
  ],
  [
    'a clock that may be right for all that is known',
    facts({ checkup: { peers: [peer(BETA, { clock: { aheadMs: 6_000, errorMs: 2_000 } })] } }),
    [],
  ],
  [
    'a daemon that is ahead of its own host',
    facts({ checkup: { at: (fake.checkup.wall + 30_000) as Info['startedAt'] } }),
    [/^clock warning: this daemon still lives 30s ahead of its host.*\| on alpha: systemctl restart fleetd$/],
  ],
  [
    'a disk below its floor',
    facts({ checkup: { disk: { ...fake.checkup.disk, free: 2 ** 29 } } }),
    [
      /^disk problem: the disk of \/var\/lib\/fleetd has 512 MiB left, which is less than the 1.0 GiB .*\| on alpha: fleetctl image gc --all$/,
    ],
  ],
  [
    'a disk near its floor',
    facts({ checkup: { disk: { ...fake.checkup.disk, free: 1.5 * 2 ** 30 } } }),
    [/^disk warning: .* has 1.5 GiB left; at 1.0 GiB no image is fetched any more/],
  ],
  [
    'a store at its quota',
    facts({ checkup: { disk: { ...fake.checkup.disk, used: 2 ** 33 } } }),
    [
      /^disk problem: images take 8.0 GiB, which is all that they may \(--quota\).*\| on alpha: fleetctl image gc --all$/,
    ],
  ],
  [
    'damaged chunks that nobody can mend',
    facts({ checkup: { damagedChunks: 1 } }),
    [/^images problem: 1 stored chunk no longer matches its digest.*\| on alpha: fleetctl image list$/],
  ],
  ['a busy host', facts({ checkup: { healthScore: 4 } }), [/^load warning: .*health score 4 of 8/]],
  [
    'failing checks, here and elsewhere',
    facts({
      members: [
        { ...ALPHA, health: 'failing', reason: 'http 500' },
        { ...BETA, health: 'failing', reason: 'no answer' },
        GAMMA,
        DELTA,
      ],
    }),
    [
      /^health problem: a check of this host fails: http 500 \|.*\| on alpha: fleetctl why alpha$/,
      /^health problem: checks fail on beta: no answer \|.*\| on alpha: fleetctl why beta$/,
    ],
  ],
  [
    'a port that is closed on the way',
    facts({
      checkup: { peers: [peer(BETA, { port: 'none', silence: 'no route', back: null, clock: null }), peer(GAMMA)] },
    }),
    [
      /^ports problem: nothing answers where beta says to be \(192.0.2.10:7946\), though it is alive \| Open that port.*\| on beta: ss -ltn$/,
    ],
  ],
  [
    'members that listen elsewhere than they say',
    facts({ checkup: { peers: [BETA, GAMMA].map(each => peer(each, { port: 'refused' })) } }),
    [/^ports problem: nothing listens where beta, gamma say to be .*--advertise/],
  ],
  [
    'a port of this host that nobody can reach',
    facts({ checkup: { peers: [BETA, GAMMA].map(each => peer(each, { back: 'none' })) } }),
    [/^reachable problem: nobody who was asked can connect to this node at 192.0.2.10:7946 \|.*\| on alpha: ss -ltn$/],
  ],
  [
    'a port of this host that one cannot reach',
    facts({ checkup: { peers: [peer(BETA, { back: 'refused' }), peer(GAMMA)] } }),
    [/^reachable warning: beta \(1 of 2\) cannot connect to this node/],
  ],
  [
    'a member whose daemon stands still',
    facts({ checkup: { peers: [peer(BETA, { silence: 'not within 4 s', clock: null, back: null })] } }),
    [
      /^answers warning: beta does not answer, though the port is open: not within 4 s \|.*\| on beta: journalctl -u fleetd/,
    ],
  ],
  [
    'a member behind a relay',
    facts({
      checkup: {
        peers: [
          peer(BETA, { port: 'none', addresses: [`/p2p/${GAMMA.id}/p2p-circuit` as PeerCheck['addresses'][number]] }),
        ],
      },
    }),
    [],
  ],
  [
    'members that failed, and what their hosts say',
    facts({
      members: [ALPHA, dead(BETA), dead(GAMMA), { ...DELTA, group: 'db' }],
      ledgers: [],
      checkup: { peers: [peer(dead(BETA), { port: 'refused', silence: 'gone', clock: null, back: null })] },
    }),
    [
      /^members problem: beta is failed: the host answers, and fleetd does not run there \|.*force-leave beta \| on beta: systemctl start fleetd$/,
      /^members problem: gamma is failed: the host does not answer \|.*\| on gamma: systemctl start fleetd$/,
    ],
  ],
  [
    'devices that are overdue',
    facts({ members: [ALPHA, { ...BETA, status: 'overdue' }, GAMMA, DELTA], ledgers: [] }),
    [/^members problem: beta is overdue.*\| on alpha: fleetctl force-leave beta$/],
  ],
  [
    'somebody who is suspected',
    facts({
      members: [ALPHA, { ...BETA, status: 'suspect' }, GAMMA, DELTA],
      checkup: { peers: [peer({ ...BETA, status: 'suspect' }, { port: 'refused', silence: 'gone', back: null })] },
    }),
    [/^members warning: beta is suspected.*fleetctl members --watch$/],
  ],
  [
    'a quorum that is lost',
    facts({
      members: [ALPHA, dead(BETA), dead(GAMMA)],
      ledgers: [{ group: 'web', ledger: null, error: 'too few voters answer' }],
      checkup: { peers: [] },
    }),
    [
      /^members problem: beta, gamma are failed/,
      /^quorum problem: the ledger of group web cannot be read from a majority .*: too few voters answer \| .*\(beta, gamma\).*\| on beta: systemctl start fleetd$/,
    ],
  ],
  [
    'a quorum that hangs on one more',
    facts({ members: [ALPHA, BETA, dead(GAMMA), DELTA], checkup: { peers: [] } }),
    [
      /^members problem: gamma is failed/,
      /^quorum warning: gamma, of the 3 voters of group web, is down; when one more fails/,
    ],
  ],
  [
    'a rollout that is paused',
    facts({ rollouts: [rollout({ phase: 'paused', reason: 'nothing moved for 10m' })] }),
    [
      /^rollouts problem: generation 7 of group web is paused: nothing moved for 10m \|.*fleetctl rollout undo --group web \| on alpha: fleetctl rollout resume --group web$/,
    ],
  ],
  [
    'a permit in dead hands',
    facts({
      members: [ALPHA, BETA, GAMMA, dead(DELTA)],
      rollouts: [
        rollout({
          permits: [{ token: 3, node: DELTA.id, name: 'delta', kind: 'replace', since: 0 as Info['startedAt'] }],
        }),
      ],
      checkup: { peers: [] },
    }),
    [
      /^members problem: delta is failed/,
      /^rollouts problem: delta failed while it held permit 3 of group web.*\| on alpha: fleetctl node write-off delta/,
    ],
  ],
  [
    'several versions in one fleet',
    facts({ members: [ALPHA, BETA, { ...GAMMA, version: '0.0.9' }, DELTA] }),
    [
      /^versions warning: the fleet runs 2 versions of fleetd: 0.1.0 on 3 members, 0.0.9 on gamma \|.*\| on gamma: fleetctl version$/,
    ],
  ],
  [
    'a fleetctl of another version',
    facts({ fleetctl: '0.2.0' }),
    [/^versions warning: this fleetctl is 0.2.0, and the daemon that it asks is 0.1.0/],
  ],
  [
    'slots that are tainted',
    facts({ members: [ALPHA, { ...BETA, taint: ['hotfix', 'age'] }, GAMMA, DELTA] }),
    [
      /^taints warning: beta \(hotfix, age\) runs something that is not to be trusted \|.*\| on alpha: fleetctl drift beta$/,
    ],
  ],
]

describe('what is found', () => {
  test.each(CASES)('%s', (_, given, expected) => {
    expect(found(given)).toEqual(expected.map(each => expect.stringMatching(each)))
  })
})

test('every command of fleetctl that is told to be run is one that it has', async () => {
  const commands = CASES.flatMap(([, given]) => bySeverity(diagnose(given)).map(({ run }) => run)).filter(run =>
    run.startsWith('fleetctl '),
  )
  expect(commands.length).toBeGreaterThan(10)
  for (const command of commands) {
    const words = [...command.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word).slice(1)
    let named: string | undefined
    await createProgram('1', words, async what => {
      named = what
    }).parseAsync(words, { from: 'user' })
    expect(named, command).toBeTypeOf('string')
  }
})

test('names that are too many for a sentence are counted', () => {
  const many = Array.from({ length: 12 }, (_, at) => member(`web-${at}`, { status: 'failed' }))
  const [finding] = found(facts({ members: [ALPHA, ...many], ledgers: [], checkup: { peers: [] } }))
  expect(finding).toContain('web-0, web-1, web-2, web-3, web-4 and 7 more are failed')
})

test('a name of another node is an id to nobody: findings go by id', () => {
  const twin: MemberView = { ...member('beta'), status: 'failed' }
  const given = facts({
    members: [ALPHA, BETA, GAMMA, DELTA, twin],
    rollouts: [
      rollout({
        permits: [{ token: 3, node: BETA.id as NodeId, name: 'beta', kind: 'replace', since: 0 as Info['startedAt'] }],
      }),
    ],
  })
  expect(found(given)).toEqual([expect.stringMatching(/^members problem: beta is failed/)])
})
