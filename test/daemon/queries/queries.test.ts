import { afterEach, beforeEach, expect, test } from 'vitest'
import type { IncomingQuery } from '../../../daemon/happenings.ts'
import { createMemoryHub, type MemoryHub, type Network, type Verdict } from '../../../daemon/network/index.ts'
import { createQueries, type OutgoingQuery, type Queries, type QueryAnswer } from '../../../daemon/queries/index.ts'
import { dispatchEvents, encodeEvents } from '../../../daemon/topic-events.ts'
import type { MemberView } from '../../../membership/index.ts'
import {
  ANSWER,
  type Digest,
  generateKeyPair,
  type KeyPair,
  LIMITS,
  millis,
  type NodeId,
  QUERY,
  type Query,
  REVOCATION,
  seededRandom,
  sign,
  withRevocation,
} from '../../../protocol/index.ts'
import { fleet, type TestFleet } from '../../protocol/fleet.ts'
import { eventually } from '../../support/wait.ts'
import { admissionOf, quiet, soon } from '../network/support.ts'

// Real adapters and signatures over the network in memory: three nodes in a line, a - b - c.

interface Peer {
  readonly name: string
  readonly key: KeyPair
  readonly network: Network
  readonly queries: Queries
  readonly incoming: IncomingQuery[]
  readonly verdicts: Verdict[]
  hear(message: Uint8Array): Verdict
}

const now = () => millis(Date.now())
let hub: MemoryHub
let of: TestFleet
let peers: Peer[]
let listed: MemberView[]

const view = (network: Network, name: string): MemberView => ({
  id: network.self,
  name,
  addresses: network.addresses(),
  status: 'alive',
  class: 'cloud',
  zone: `z-${name}`,
  group: 'g',
  tags: { name },
  epoch: 1,
  version: '1',
  layers: [],
  services: [],
  health: 'passing',
  reason: '',
  taint: [],
  images: [],
  rttMs: null,
  coordinate: null,
  since: millis(0),
})

async function peer(name: string): Promise<Peer> {
  const key = generateKeyPair()
  const network = hub.createNetwork({ key, admission: admissionOf(key, 'fleet') })
  const incoming: IncomingQuery[] = []
  const verdicts: Verdict[] = []
  const queries = createQueries({
    network,
    trust: { demand: () => of.authority, sign: (kind, body) => sign(kind, of.id, now(), body, [key]) },
    epoch: 1,
    members: () => ({
      members: () => listed,
      find: (node: NodeId) => listed.find(({ id }) => id === node),
      knows: (node: NodeId) => listed.some(({ id }) => id === node),
      record: () => ({ ...view(network, name), addresses: [], certificate: new Uint8Array() }),
    }),
    tell: query => void incoming.push(query),
    now,
    random: seededRandom(1),
    log: quiet,
  })
  const hear = (message: Uint8Array): Verdict => dispatchEvents(message, queries.gossip)
  await network.start({
    linkUp: () => undefined,
    linkDown: () => undefined,
    frame: () => undefined,
    heard: () => undefined,
    discovered: () => undefined,
    gossip(_topic, message) {
      const verdict = hear(message)
      verdicts.push(verdict)
      return verdict
    },
  })
  listed.push(view(network, name))
  return { name, key, network, queries, incoming, verdicts, hear }
}

beforeEach(async () => {
  hub = createMemoryHub()
  of = fleet()
  listed = []
  peers = [await peer('a'), await peer('b'), await peer('c')]
  const [a, b, c] = peers as [Peer, Peer, Peer]
  await a.network.connect(b.network.self, b.network.addresses(), soon())
  await b.network.connect(c.network.self, c.network.addresses(), soon())
})
afterEach(async () => {
  for (const { queries, network } of peers) {
    queries.stop()
    await network.stop()
  }
})

const outgoing = (change: Partial<OutgoingQuery> = {}): OutgoingQuery => ({
  name: 'q',
  payload: new Uint8Array(),
  nodes: [],
  tags: {},
  groups: [],
  zones: [],
  ack: true,
  timeoutMs: 60_000,
  ...change,
})
/** A query under way, whose end the test decides. */
function asked(by: Peer, change: Partial<OutgoingQuery> = {}) {
  const answers: QueryAnswer[] = []
  const stop = new AbortController()
  const ended = by.queries.ask(outgoing(change), answer => void answers.push(answer), stop.signal)
  ended.catch(() => undefined)
  const seen = (): string[] => answers.map(({ type, name }) => `${type} ${name}`).sort()
  return { answers, seen, ended, stop: () => stop.abort() }
}
const signedQuery = (key: KeyPair, node: NodeId, change: Partial<Query> = {}, clock = now()): Uint8Array =>
  encodeEvents(
    'query',
    sign(
      QUERY,
      of.id,
      clock,
      { ...outgoing(), nodes: [], node, epoch: 1, seq: 1, ltime: 1, timeoutMs: 5_000, ...change } as Query,
      [key],
    ).bytes,
  )

test('everybody acknowledges, whoever has something to say responds, and a second response is refused', async () => {
  const [a, b, c] = peers as [Peer, Peer, Peer]
  const query = asked(a, { payload: Buffer.from('hello') })
  await eventually('it to be everywhere', () => [a, b, c].every(({ incoming }) => incoming.length === 1), {
    everyMs: 1,
  })
  const [at] = c.incoming
  expect(at).toMatchObject({ name: 'q', asker: a.network.self, ltime: 1 })
  expect(Buffer.from(at!.payload).toString()).toBe('hello')
  await at!.respond(Buffer.from('world'))
  await expect(at!.respond(Buffer.from('again'))).rejects.toMatchObject({ code: 'conflict' })
  await expect(b.incoming[0]!.respond(new Uint8Array(LIMITS.queryResponse + 1))).rejects.toMatchObject({
    code: 'too-large',
  })
  await eventually('the answers', () => query.answers.length === 4, { everyMs: 1, seen: query.seen })
  expect(query.seen()).toEqual(['ack a', 'ack b', 'ack c', 'response c'])
  expect(query.answers.find(({ type }) => type === 'response')!.payload).toEqual(Uint8Array.from(Buffer.from('world')))
  query.stop()
})

test('filters hold at each receiver, and a query travels through those that it is not for', async () => {
  const [a, b, c] = peers as [Peer, Peer, Peer]
  const byTag = asked(a, { tags: { name: '[cd]' } })
  await eventually('c to be asked', () => c.incoming.length === 1, { everyMs: 1 })
  const byName = asked(a, { nodes: ['c'], ack: false })
  await eventually('c to be asked', () => c.incoming.length === 2, { everyMs: 1 })
  const byZone = asked(a, { zones: ['z-c'], groups: ['g'] })
  await eventually('c to be asked', () => c.incoming.length === 3, { everyMs: 1 })
  await eventually('its acks', () => byTag.answers.length + byZone.answers.length === 2, { everyMs: 1 })
  expect([...byTag.seen(), ...byName.seen(), ...byZone.seen()]).toEqual(['ack c', 'ack c'])
  expect(a.incoming.length + b.incoming.length).toBe(0)
  for (const each of [byTag, byName, byZone]) each.stop()
})

test('a query ends with its time, and says how many answered', async () => {
  const [a] = peers as [Peer]
  const { ended } = asked(a, { timeoutMs: 300 })
  expect(await ended).toMatchObject({ acks: 3, responses: 0 })
  const [late] = a.incoming
  await eventually('its deadline to have passed', () => now() > late!.deadline, { everyMs: 1 })
  await expect(late!.respond(new Uint8Array())).rejects.toMatchObject({ code: 'timeout' })
})

test('a query of the fleet itself is acknowledged by everybody, told to nobody, and over when all have answered', async () => {
  const [a, b, c] = peers as [Peer, Peer, Peer]
  // Its time would be ten minutes.
  expect(await asked(a, { name: '_ping', timeoutMs: 600_000 }).ended).toEqual({ acks: 3, responses: 0 })
  expect([a, b, c].flatMap(({ incoming }) => incoming)).toEqual([])
})

test('an answer to one who cannot be dialled comes along the overlay', async () => {
  const [a, b, c] = peers as [Peer, Peer, Peer]
  hub.partition(a.network.self, c.network.self)
  const query = asked(a)
  await eventually('c to be asked', () => c.incoming.length === 1, { everyMs: 1 })
  await c.incoming[0]!.respond(Buffer.from('from afar'))
  await eventually('its answers', () => query.answers.length === 4, { everyMs: 1, seen: query.seen })
  expect(query.seen()).toEqual(['ack a', 'ack b', 'ack c', 'response c'])
  expect(b.verdicts).toContain('accept')
  query.stop()
})

test('nothing counts that is not said by a member, for itself, in time, and once', async () => {
  const [a, b] = peers as [Peer, Peer]
  const stranger = generateKeyPair()
  // Signed by another than it names: that costs its sender. By somebody unknown: that may become known.
  expect(b.hear(signedQuery(stranger, a.network.self))).toBe('reject')
  expect(b.hear(signedQuery(a.key, a.network.self, {}, millis(now() - LIMITS.clockSkew - 60_000)))).toBe('ignore')
  expect(b.hear(signedQuery(a.key, a.network.self, {}, millis(now() + LIMITS.clockSkew + 60_000)))).toBe('reject')
  expect(b.hear(encodeEvents('query', Uint8Array.of(1, 2, 3)))).toBe('reject')
  expect(b.hear(Uint8Array.of(1, 2, 3))).toBe('reject')
  const good = signedQuery(a.key, a.network.self, { seq: 7 })
  expect(b.hear(good)).toBe('accept')
  expect(b.hear(good)).toBe('ignore')
  await eventually('it to be told once', () => b.incoming.length === 1, { everyMs: 1 })

  // Answers to nothing that was asked.
  const answer = (key: KeyPair, node: NodeId): Uint8Array =>
    encodeEvents(
      'answer',
      sign(ANSWER, of.id, now(), { node, query: '0'.repeat(64) as Digest, type: 'ack', payload: new Uint8Array() }, [
        key,
      ]).bytes,
    )
  expect(a.hear(answer(b.key, b.network.self))).toBe('ignore')
  expect(a.hear(answer(stranger, b.network.self))).toBe('reject')
  const revocation = sign(REVOCATION, of.id, now(), { node: a.network.self, reason: 'x' }, [of.operator])
  of = { ...of, authority: withRevocation(of.authority, revocation.bytes) }
  expect(b.hear(signedQuery(a.key, a.network.self, { seq: 8 }))).toBe('reject')
})

test('a pattern that is no good is refused where it is asked, and stops nobody where it arrives', async () => {
  const [a, b] = peers as [Peer, Peer]
  const refused = (pattern: string) =>
    expect(asked(a, { tags: { name: pattern } }).ended).rejects.toMatchObject({ code: 'bad-input' })
  await refused('(')
  await refused('(a)\\1')
  await refused('(?=a)')
  await refused('x'.repeat(LIMITS.tagPattern + 1))
  await refused('((a{0,30}){0,30})')
  await expect(asked(a, { nodes: ['nobody'] }).ended).rejects.toMatchObject({ code: 'not-found' })
  await expect(asked(a, { payload: new Uint8Array(LIMITS.queryPayload + 1) }).ended).rejects.toMatchObject({
    code: 'too-large',
  })
  expect(b.hear(signedQuery(a.key, a.network.self, { seq: 50, tags: { name: '(' } }))).toBe('accept')
  expect(b.hear(signedQuery(a.key, a.network.self, { seq: 51, tags: { name: 'b' } }))).toBe('accept')
  await eventually('the good one', () => b.incoming.length === 1, { everyMs: 1 })
})

test('who asks too much in one go is told so', async () => {
  const [a] = peers as [Peer]
  const all = Array.from({ length: 60 }, () => asked(a, { payload: new Uint8Array(60_000) }))
  const outcomes = await Promise.all(
    all.map(({ ended }) =>
      Promise.race([
        ended.then(
          () => 'ended',
          error => (error as { code: string }).code,
        ),
        new Promise<string>(done => setImmediate(done, 'running')),
      ]),
    ),
  )
  expect(new Set(outcomes)).toEqual(new Set(['running', 'unavailable']))
  for (const each of all) each.stop()
})
