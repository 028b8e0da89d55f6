import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { answerDelay, type Inbox } from '../../membership/index.ts'
import {
  type Address,
  ANSWER,
  type Answer,
  FleetError,
  LIMITS,
  type Millis,
  type NodeId,
  type Query,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import { encodeEvents } from '../topic-events.ts'
import type { Trust } from '../trust/index.ts'

/** The service at which an asker takes answers. */
export const ANSWERS = 'query-answer'
/** How long the direct way may take, and which part of what is left at most: the way along the overlay needs time as well. Milliseconds. */
const DIRECT = 4_000

export interface Replies {
  /** Says it if it may be said, directly or else along the overlay. Never rejects. */
  send(query: Statement<Query>, type: Answer['type'], payload: Uint8Array): Promise<void>
  /** As IncomingQuery.respond: rejects `too-large`, `conflict` or `timeout`. */
  respond(query: Statement<Query>, payload: Uint8Array): Promise<void>
}

export interface RepliesInit {
  readonly network: Network
  readonly trust: Pick<Trust, 'sign'>
  readonly inbox: Inbox
  /** Members, of which all may be about to answer. */
  readonly count: () => number
  readonly addresses: (node: NodeId) => readonly Address[] | undefined
  /** Takes an answer to a query of our own. */
  readonly take: (answer: Statement<Answer>) => void
  readonly now: () => Millis
  readonly random: Random
  readonly stopping: AbortSignal
  readonly log: Logger
}

/** How this node's answers get to who asked. */
export function createReplies(init: RepliesInit): Replies {
  const { network, trust, inbox, now, stopping, log } = init

  const deliver = async (query: Statement<Query>, answer: Statement<Answer>, deadline: Millis): Promise<void> => {
    const asker = query.body.node
    if (asker === network.self) return init.take(answer)
    const linked = network.links().includes(asker)
    const delay = answerDelay(init.random, init.count(), linked, query.body.timeoutMs)
    if (delay > 0) await sleep(delay, undefined, { signal: stopping, ref: false })
    const left = deadline - now()
    if (left <= 0) return
    const addresses = init.addresses(asker)
    try {
      await network.request(asker, ANSWERS, answer.bytes, {
        signal: timeLimit(Math.ceil(Math.min(DIRECT, left / 2)), stopping),
        ...(addresses === undefined ? {} : { addresses }),
      })
    } catch (error) {
      if (stopping.aborted) return
      log.debug(
        { asker, reason: toFleetError(error).message },
        'an answer goes along the overlay, because its asker cannot be reached',
      )
      network.publish('events', encodeEvents('answer', answer.bytes))
    }
  }
  const say = async (query: Statement<Query>, type: Answer['type'], payload: Uint8Array): Promise<void> => {
    const deadline = inbox.deadline(now(), query.id)
    const may = inbox.say(now(), query.id, type)
    if (deadline === undefined || may === 'late')
      throw new FleetError('timeout', `the query ${query.body.name} is over; nobody waits for an answer any more`)
    if (may === 'twice')
      throw new FleetError('conflict', `this node has given its ${type} to the query ${query.body.name} already`)
    await deliver(query, trust.sign(ANSWER, { node: network.self, query: query.id, type, payload }), deadline)
  }

  return {
    async send(query, type, payload) {
      try {
        await say(query, type, payload)
      } catch (error) {
        if (!stopping.aborted)
          log.debug({ query: query.body.name, reason: toFleetError(error).message }, 'not answered')
      }
    },
    async respond(query, payload) {
      if (payload.byteLength > LIMITS.queryResponse)
        throw new FleetError(
          'too-large',
          `a response has at most ${LIMITS.queryResponse} bytes, not ${payload.byteLength}`,
        )
      await say(query, 'response', payload)
    },
  }
}
