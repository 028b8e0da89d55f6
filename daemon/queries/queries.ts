import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { createInbox, createOutbox, defaultTimeout, passes, type Totals } from '../../membership/index.ts'
import {
  type Answer,
  type Digest,
  FleetError,
  LIMITS,
  type Millis,
  type NodeId,
  openAnswer,
  openQuery,
  QUERY,
  type Query,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import type { IncomingQuery } from '../happenings.ts'
import type { Members } from '../members/index.ts'
import type { Network, Verdict } from '../network/index.ts'
import { encodeEvents } from '../topic-events.ts'
import type { Trust } from '../trust/index.ts'
import { matcherOf } from './patterns.ts'
import { ANSWERS, createReplies } from './replies.ts'

/** Queries that this daemon asks at once. */
const MAX_ASKED = 64

export interface OutgoingQuery {
  /** Names that begin with `_` are the fleet's own: acknowledged, and nothing else; asking ends as soon as everybody alive has done so. */
  readonly name: string
  readonly payload: Uint8Array
  /** Names or ids. Empty, as with every filter: everybody. */
  readonly nodes: readonly string[]
  /** Regular expressions in RE2's syntax over the whole value. */
  readonly tags: Readonly<Record<string, string>>
  readonly groups: readonly string[]
  readonly zones: readonly string[]
  readonly ack: boolean
  /** 0: a default that grows with the fleet (membership/queries/timing.ts). */
  readonly timeoutMs: number
}

export interface QueryAnswer {
  readonly type: 'ack' | 'response'
  readonly node: NodeId
  readonly name: string
  readonly payload: Uint8Array
}

export interface Queries {
  /**
   * Asks, tells every answer as it comes, and resolves with their number when the time is over. Throws `bad-input`, `not-found` (a node),
   * `too-large`, `unavailable` (too many at once), or what the signal was aborted with.
   */
  ask(
    query: OutgoingQuery,
    on: (answer: QueryAnswer) => void,
    signal: AbortSignal,
  ): Promise<{ acks: number; responses: number }>
  /** Lamport time of queries. */
  ltime(): number
  /** Takes a gossiped query, or an answer that could not come directly. */
  readonly gossip: { query(statement: Uint8Array): Verdict; answer(statement: Uint8Array): Verdict }
  stop(): void
}

export interface QueriesInit {
  readonly network: Network
  readonly trust: Pick<Trust, 'demand' | 'sign'>
  readonly epoch: number
  /** Undefined while the daemon belongs to no fleet. */
  readonly members: () => Pick<Members, 'members' | 'find' | 'knows' | 'record'> | undefined
  readonly tell: (query: IncomingQuery) => void
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

/** Registers its service with the network: call before that starts. */
export function createQueries(init: QueriesInit): Queries {
  const { network, trust, now, log } = init
  const inbox = createInbox(now())
  const outbox = createOutbox()
  const listeners = new Map<Digest, (answer: Statement<Answer>) => void>()
  const stopping = new AbortController()
  // One listener for each query under way.
  setMaxListeners(0, stopping.signal)
  let seq = 0

  const members = () => {
    trust.demand()
    return init.members()!
  }
  const replies = createReplies({
    network,
    trust,
    inbox,
    count: () => members().members().length,
    addresses: node => members().find(node)?.addresses,
    take: answer => void takeAnswer(answer),
    now,
    random: init.random,
    stopping: stopping.signal,
    log,
  })

  /** True when this node has asked for it and it counts. */
  const takeAnswer = (answer: Statement<Answer>): boolean => {
    if (!outbox.take(now(), answer)) return false
    listeners.get(answer.body.query)?.(answer)
    return true
  }
  const verifiedAnswer = (bytes: Uint8Array): Statement<Answer> | undefined => {
    const answer = openAnswer(trust.demand(), bytes, now())
    return members().knows(answer.body.node) ? answer : undefined
  }

  /** A query that is new here: answers it when it is for us. */
  const receive = async (query: Statement<Query>): Promise<void> => {
    const { body } = query
    const matches = await matcherOf(body.tags)
    if (!passes(body, { ...members().record(), id: network.self }, matches)) return
    if (body.ack) void replies.send(query, 'ack', new Uint8Array())
    if (body.name.startsWith('_')) return
    const deadline = inbox.deadline(now(), query.id)
    if (deadline === undefined) return
    init.tell({
      id: query.id,
      ltime: body.ltime,
      asker: body.node,
      name: body.name,
      payload: body.payload,
      deadline,
      respond: payload => replies.respond(query, payload),
    })
  }
  const receiving = (query: Statement<Query>): void => {
    receive(query).catch(error =>
      log.warn(
        { query: query.body.name, asker: query.body.node, reason: toFleetError(error).message },
        'a query cannot be answered',
      ),
    )
  }

  network.serve(ANSWERS, (_from, bytes) => {
    const answer = verifiedAnswer(bytes)
    if (answer !== undefined) takeAnswer(answer)
    return new Uint8Array()
  })

  const resolve = (reference: string): NodeId => {
    const found = members()
      .members()
      .filter(member => member.id === reference || member.name === reference)
    if (found.length === 0)
      throw new FleetError('not-found', `no member ${JSON.stringify(reference)}; see "fleetctl members"`)
    if (found.length > 1)
      throw new FleetError(
        'conflict',
        `${JSON.stringify(reference)} may be any of ${found.map(({ name, id }) => `${name} (${id})`).join(', ')}; give the whole id`,
      )
    return found[0]!.id
  }
  const compose = (query: OutgoingQuery): Statement<Query> => {
    const timeoutMs = query.timeoutMs || defaultTimeout(members().members().length)
    if (query.payload.byteLength > LIMITS.queryPayload)
      throw new FleetError(
        'too-large',
        `the payload of a query has at most ${LIMITS.queryPayload} bytes, not ${query.payload.byteLength}`,
      )
    const parsed = QUERY.schema.safeParse({
      node: network.self,
      epoch: init.epoch,
      seq: ++seq,
      ltime: inbox.ltime() + 1,
      name: query.name,
      payload: query.payload,
      nodes: query.nodes.map(resolve),
      tags: query.tags,
      groups: query.groups,
      zones: query.zones,
      ack: query.ack,
      timeoutMs: Math.min(Math.round(timeoutMs), LIMITS.queryTimeout),
    })
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      throw new FleetError('bad-input', `query ${issue?.path.join('.')}: ${issue?.message ?? 'not what was expected'}`)
    }
    return trust.sign(QUERY, parsed.data)
  }

  return {
    async ask(outgoing, on, signal) {
      signal.throwIfAborted()
      if (outbox.size >= MAX_ASKED)
        throw new FleetError('unavailable', `this daemon has ${MAX_ASKED} queries running; wait until one has ended`)
      const query = compose(outgoing)
      const matches = await matcherOf(query.body.tags)
      signal.throwIfAborted()
      // Only what the fleet itself answers is over when everybody has: a handler may take all the time that it is given.
      const awaited = query.body.name.startsWith('_')
        ? members()
            .members()
            .filter(({ status }) => status === 'alive' || status === 'suspect')
            .filter(member => passes(query.body, member, matches))
            .map(member => member.id)
        : undefined
      if (inbox.hear(now(), query) === 'too-often')
        throw new FleetError(
          'unavailable',
          'this node has asked too much of the fleet in the last seconds; wait a moment',
        )
      let totals: Totals = { acks: 0, responses: 0 }
      const over = new AbortController()
      if (awaited?.length === 0) over.abort()
      outbox.begin(now(), query)
      listeners.set(query.id, ({ body: { type, node, payload } }) => {
        on({ type, node, name: members().find(node)?.name ?? node, payload })
        if (awaited !== undefined && outbox.acknowledged(query.id, awaited)) over.abort()
      })
      try {
        network.publish('events', encodeEvents('query', query.bytes))
        receiving(query)
        await sleep(query.body.timeoutMs, undefined, {
          signal: AbortSignal.any([over.signal, signal, stopping.signal]),
        }).catch(() => undefined)
        signal.throwIfAborted()
      } finally {
        listeners.delete(query.id)
        totals = outbox.end(query.id)
      }
      return totals
    },
    ltime: () => inbox.ltime(),
    gossip: {
      query: bytes => {
        let query: Statement<Query>
        try {
          query = openQuery(trust.demand(), bytes, now())
        } catch (error) {
          return verdictOf(error)
        }
        if (!members().knows(query.body.node) || inbox.hear(now(), query) !== 'take') return 'ignore'
        receiving(query)
        return 'accept'
      },
      answer: bytes => {
        try {
          const answer = verifiedAnswer(bytes)
          return answer !== undefined && !takeAnswer(answer) && inbox.relay(now(), answer) ? 'accept' : 'ignore'
        } catch (error) {
          return verdictOf(error)
        }
      },
    },
    stop: () => stopping.abort(),
  }
}

/** What is badly made or badly signed costs its sender. */
function verdictOf(error: unknown): Verdict {
  const { code } = toFleetError(error)
  return code === 'corrupt' || code === 'too-large' || code === 'unauthorized' ? 'reject' : 'ignore'
}
