import { beforeEach, expect, test } from 'vitest'
import { createLedgers, type Ledgers } from '../../../daemon/ledgers.ts'
import { createMemoryHub, type MemoryHub, type Network } from '../../../daemon/network/index.ts'
import { createGroups, createPlans, type Groups, recoveryOf } from '../../../daemon/rollout/index.ts'
import {
  generateKeyPair,
  type KeyPair,
  millis,
  nodeIdOf,
  type Recovery,
  seededRandom,
  sign,
} from '../../../protocol/index.ts'
import {
  draftRecovery,
  encodeState,
  genesis,
  type LedgerValue,
  successor,
  type VoterState,
} from '../../../rollout/index.ts'
import { fleet, type TestFleet } from '../../protocol/fleet.ts'
import { plan } from '../../rollout/ledger/fixtures.ts'
import { admissionOf, quiet, soon } from '../network/support.ts'

// Real ledgers and their news over the network in memory. The founder, whom the policy names as the only voter of the beginning, is gone for good.

const now = () => millis(Date.now())
const keys: readonly KeyPair[] = Array.from({ length: 6 }, generateKeyPair)
const ids = keys.map(({ publicKey }) => nodeIdOf(publicKey))
const FOUNDER = ids[0]!
const first = genesis('web', [FOUNDER])
const closed: LedgerValue = { ...first, version: 7, generation: 3, successors: ids.slice(1, 4) }
const second = successor(closed)
const ballot = { round: 1, node: FOUNDER }
const kept = (value: LedgerValue, of: LedgerValue = value): Uint8Array => {
  const state: VoterState = { first: of, promised: ballot, accepted: ballot, value, plan: null }
  return encodeState(state)
}

interface Peer {
  readonly network: Network
  readonly ledgers: Ledgers
  readonly groups: Groups
}
let hub: MemoryHub
let of: TestFleet
let up: Network[]

/** A daemon that starts with this state of a voter on its disk, linked to all that run already. */
async function start(at: number, disk?: Uint8Array): Promise<Peer> {
  const key = keys[at]!
  const network = hub.createNetwork({ key, admission: admissionOf(key, 'fleet') })
  const trust = {
    demand: () => of.authority,
    sign: (kind: never, body: never) => sign(kind, of.id, now(), body, [key]),
  }
  const states = new Map(disk === undefined ? [] : [['web', disk]])
  const parts = { network, trust: trust as never, now, random: seededRandom(at), log: quiet, addresses: () => [] }
  const ledgers = createLedgers({
    ...parts,
    store: {
      load: async group => states.get(group),
      save: async (group, state) => void states.set(group, state),
      groups: async () => [...states.keys()],
    },
    plan: () => undefined,
    objection: () => undefined,
    onForged: () => undefined,
  })
  const links = new Set<string>()
  const groups = createGroups({
    ...parts,
    access: ledgers.access,
    isOfEra: ledgers.isOfEra,
    believe: ledgers.believe,
    believed: ledgers.believed,
    members: () => {
      const others = up.map(({ self }) => self).filter(node => node !== network.self)
      return { count: up.length, knows: node => ids.includes(node), links: others, alive: others }
    },
    onValue: ledgers.believe,
  })
  await network.start({
    linkUp: peer => void links.add(peer),
    linkDown: peer => void links.delete(peer),
    frame: () => undefined,
    heard: () => undefined,
    discovered: () => undefined,
    gossip: () => 'ignore',
  })
  for (const other of up) await network.connect(other.self, other.addresses(), soon())
  up.push(network)
  await ledgers.recall()
  return { network, ledgers, groups }
}

const survey = async ({ ledgers, groups }: Peer) => ledgers.survey('web', await groups.gather('web', soon()), soon())
const draft = (found: Awaited<ReturnType<typeof survey>>, plans = createPlans(() => undefined)): Recovery =>
  recoveryOf(found, {
    members: () =>
      [1, 2, 3, 4, 5].map(at => ({
        ...{ id: ids[at]!, name: `n${at}`, status: 'alive', health: 'passing' as const, group: 'web', zone: 'z' },
        ...{ tags: {}, class: 'server', layers: [], taint: [], addresses: [] },
      })),
    plans,
    now,
    random: seededRandom(1),
  })

beforeEach(() => {
  hub = createMemoryHub()
  of = fleet(undefined, { groups: { '*': { genesisVoters: [FOUNDER] } } } as never)
  up = []
})

test('voters that start again find one another by what is on their disks', async () => {
  const [one] = [await start(1, kept(second)), await start(2, kept(second))]
  expect(await one.ledgers.access('web').read(soon())).toMatchObject({ epoch: 2, version: 8 })
})

test('a host that knows nothing asks its neighbours where the voters are', async () => {
  const [, , stranger] = [await start(1, kept(second)), await start(2, kept(second)), await start(5)]
  expect(await stranger.groups.read('web', soon())).toMatchObject({ epoch: 2, version: 8 })
})

test('one that looked in vain, because it had no neighbours yet, finds them once it has', async () => {
  const stranger = await start(5)
  const looking = stranger.groups.read('web', soon())
  await start(1, kept(second))
  await start(2, kept(second))
  expect(await looking).toMatchObject({ epoch: 2 })
})

test('what a neighbour says is only where to look: without a quorum nothing is known', async () => {
  const [, stranger] = [await start(1, kept(second)), await start(5)]
  expect(await stranger.groups.read('web', AbortSignal.timeout(500))).toBeNull()
  expect(stranger.groups.known('web')).toBeUndefined()
})

test('a ledger whose voters answer is not recovered by a host that knows nothing of it', async () => {
  const [, , stranger] = [await start(1, kept(second)), await start(2, kept(second)), await start(5)]
  const found = await survey(stranger)
  expect(found.newest).toMatchObject({ epoch: 2, version: 8 })
  expect([...found.silent.keys()]).toEqual([ids[3]])
  expect(() => draft(found)).toThrow(/2 of the 3 voters .* is not lost/)
})

test('a recovery goes on from what a single voter that is left has on its disk', async () => {
  const newest = { ...second, version: 12, generation: 5 }
  const [, stranger] = [await start(1, kept(newest, second)), await start(5)]
  const found = await survey(stranger)
  expect([...found.silent].map(([node, reason]) => [node, reason.length > 0])).toEqual([
    [ids[2], true],
    [ids[3], true],
  ])
  expect(draft(found)).toMatchObject({ version: 13, generation: 6, lost: [ids[2], ids[3]] })
})

test('successors are asked where those who made way for them are gone', async () => {
  const [one] = [await start(1), await start(2, kept(second)), await start(3, kept(second))]
  const found = await one.ledgers.survey('web', closed, soon())
  expect(found.newest.epoch).toBe(2)
  expect(() => draft(found)).toThrow(/is not lost/)
})

test('successors that do not answer are lost too', async () => {
  const one = await start(1)
  const found = await one.ledgers.survey('web', closed, soon())
  expect([...found.silent.keys()].sort()).toEqual([FOUNDER, ids[2], ids[3]].sort())
  expect(draft(found).lost.toSorted()).toEqual([FOUNDER, ids[2], ids[3]].sort())
})

test('a ledger that plans were made for does not begin anew from nothing', async () => {
  const stranger = await start(5)
  const found = await survey(stranger)
  expect(draft(found)).toMatchObject({ generation: 1, lost: [FOUNDER] })
  const plans = createPlans(() => undefined)
  plans.add(plan({ group: 'web' }))
  expect(() => draft(found, plans)).toThrow(/nobody who answers knows anything of its ledger/)
})

test('a voter that goes by a recovery already is not counted among the silent ones', async () => {
  const recovery = draftRecovery(second, {
    ...{ voters: [ids[1]!], lost: [ids[2]!, ids[3]!], members: [], planned: 3, now: now(), chance: 1 },
  })
  const [one, stranger] = [await start(1, kept(second)), await start(5)]
  one.ledgers.acceptRecovery(recovery)
  await expect(survey(stranger)).rejects.toThrow(
    /a recovery .* is signed already.*wait until this host has heard of it/,
  )
  // The same said by the voter itself, to a host that knows where it is.
  await expect(stranger.ledgers.survey('web', second, soon())).rejects.toThrow(/is signed already/)
  stranger.ledgers.acceptRecovery(recovery)
  expect((await survey(stranger)).newest.epoch).toBe(recovery.epoch)
})
