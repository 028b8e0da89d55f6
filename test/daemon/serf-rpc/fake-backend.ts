import { createHappenings, type Happenings, type IncomingQuery } from '../../../daemon/happenings.ts'
import type {
  LogLevel,
  LogLine,
  SerfAnswer,
  SerfBackend,
  SerfCoordinate,
  SerfQuery,
} from '../../../daemon/serf-rpc/index.ts'
import type { MemberView } from '../../../membership/index.ts'
import { type Address, FleetError, millis, type NodeId } from '../../../protocol/index.ts'

/** A fleet in memory, for the protocol to be tried on. */
export interface Fake {
  readonly backend: SerfBackend
  readonly happenings: Happenings
  readonly members: MemberView[]
  readonly coordinates: Map<string, SerfCoordinate>
  /** What it was asked to do, in order. */
  readonly calls: unknown[][]
  log(level: LogLevel, message: string): void
  /** How queries are answered. */
  answer(query: SerfQuery, on: (answer: SerfAnswer) => void, signal: AbortSignal): Promise<void>
  logListeners(): number
}

export function member(name: string, change: Partial<MemberView> = {}): MemberView {
  return {
    id: `12D3Koo${name}` as NodeId,
    name,
    addresses: ['/ip4/127.0.0.1/tcp/7946' as Address],
    status: 'alive',
    class: 'cloud',
    zone: 'default',
    group: 'default',
    tags: {},
    epoch: 1,
    version: '0.1.0',
    layers: [],
    services: [],
    health: 'unknown',
    reason: '',
    taint: [],
    images: [],
    rttMs: null,
    coordinate: null,
    since: millis(0),
    ...change,
  }
}

export function fakeBackend(members: MemberView[] = [member('alpha')]): Fake {
  const happenings = createHappenings(error => {
    throw error
  })
  const listeners = new Set<(line: LogLine) => void>()
  const calls: unknown[][] = []
  const fake: Fake = {
    happenings,
    members,
    coordinates: new Map(),
    calls,
    log: (level, message) => {
      for (const listener of listeners) listener({ at: millis(Date.now()), level, message })
    },
    async answer(query, on) {
      for (const { name } of members) if (query.ack) on({ type: 'ack', name, payload: new Uint8Array() })
      on({ type: 'response', name: members[0]!.name, payload: Buffer.from(`re: ${Buffer.from(query.payload)}\n`) })
    },
    logListeners: () => listeners.size,
    backend: {
      now: () => millis(Date.now()),
      members: () => members,
      async join(addresses) {
        calls.push(['join', addresses])
        if (addresses.includes('192.0.2.1:1')) throw new FleetError('unavailable', 'no member answered')
        return addresses.length
      },
      async leave() {
        calls.push(['leave'])
      },
      stop: () => void calls.push(['stop']),
      async forceLeave(node, prune) {
        calls.push(['forceLeave', node, prune])
        if (!members.some(({ name }) => name === node)) throw new FleetError('not-found', `no member "${node}"`)
      },
      async changeTags(set, remove) {
        calls.push(['changeTags', set, remove])
      },
      async fire(event) {
        calls.push(['fire', event.name, Buffer.from(event.payload).toString('latin1'), event.coalesce])
        if (event.name === 'refused') throw new FleetError('too-large', 'the payload is too large')
      },
      query: (query, on, signal) => {
        calls.push(['query', query.name, query.nodes, query.tags, query.ack, query.timeoutMs])
        return fake.answer(query, on, signal)
      },
      coordinate: node => fake.coordinates.get(node),
      listen: listener => happenings.listen(listener),
      logs(_level, listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      stats: () => ({
        agent: { name: members[0]!.name },
        runtime: { os: 'linux' },
        serf: { members: String(members.length), health_score: '0' },
        tags: { ...members[0]!.tags },
        event_handlers: {},
      }),
    },
  }
  return fake
}

/** A query that this node was asked; what is responded goes into `responses`. */
export function incoming(
  name: string,
  payload: Uint8Array,
  responses: string[],
  deadline = Date.now() + 60_000,
): IncomingQuery {
  return {
    id: name,
    ltime: 7,
    asker: '12D3Kooasker' as NodeId,
    name,
    payload,
    deadline: millis(deadline),
    async respond(response) {
      if (responses.length > 0) throw new FleetError('conflict', 'this node has responded already')
      responses.push(Buffer.from(response).toString('latin1'))
    },
  }
}
