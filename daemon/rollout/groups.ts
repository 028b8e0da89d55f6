import type { Logger } from 'pino'
import * as z from 'zod'
import {
  check,
  decode,
  encode,
  FleetError,
  fields,
  LIMITS,
  type Millis,
  NOTICE,
  type NodeId,
  type Notice,
  nodeIdOf,
  open,
  type Random,
  type Statement,
} from '../../protocol/index.ts'
import { type Action, decodeValue, encodeValue, isOver, type LedgerValue } from '../../rollout/index.ts'
import type { Network, Verdict } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Trust } from '../trust/index.ts'
import type { LedgerAccess, Proposal } from './access.ts'

/** How often a node reads its group's ledger by quorum while a generation is active, although nobody told it of a change. */
const READ_EVERY = 5_000
/** Above this many members the reads of all together are kept at the same rate. */
const UNSTRETCHED = 50
/** How often it asks a neighbour for news of the ledger otherwise: what gossip lost comes to light so, without a connection to any voter. */
const ASK_EVERY = 60_000
const ASK_TIMEOUT = 5_000
/** A neighbour is told what is known here and answers with a notice of something newer, or with nothing. */
const SERVICE = 'ledger-news'
const questionSchema = z.tuple([fields.label, fields.counter, fields.counter])

export interface Groups {
  /** The last known value; undefined until something was heard. */
  known(group: string): LedgerValue | undefined
  /** Reads by quorum and takes note. */
  read(group: string, signal: AbortSignal): Promise<LedgerValue | null>
  propose(group: string, action: Action, signal: AbortSignal): Promise<Proposal>
  /** Takes a gossiped notice. */
  gossip(message: Uint8Array): Verdict
  /** The ledger of this group is read from time to time, and told about. */
  follow(group: string): void
  stop(): void
}

export interface GroupsInit {
  readonly trust: Trust
  readonly network: Network
  readonly access: (group: string) => LedgerAccess
  /** Whether a value may be taken note of: what follows a recovery only by whoever has the operator's word of it on disk. */
  readonly isOfEra: (value: LedgerValue) => boolean
  readonly members: () => { count: number; knows: (node: NodeId) => boolean; links: readonly NodeId[] }
  readonly onValue: (value: LedgerValue) => void
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

/** Where a value stands in the history of its ledger. */
type Position = Pick<LedgerValue, 'epoch' | 'version'>

/** What this node knows of the ledgers: from its own reads and writes, and from what others tell. */
export function createGroups(init: GroupsInit): Groups {
  const { trust, network, now, random, log } = init
  const values = new Map<string, LedgerValue>()
  const timers = new Map<string, NodeJS.Timeout>()
  const stopping = new AbortController()

  /** Takes a value unless a newer one is known. True when it was news. */
  const learn = (value: LedgerValue): boolean => {
    const before = values.get(value.group)
    if (!init.isOfEra(value) || (before !== undefined && !newer(value, before))) return false
    values.set(value.group, value)
    init.onValue(value)
    return true
  }

  const noticeOf = (value: LedgerValue): Uint8Array =>
    trust.sign(NOTICE, {
      group: value.group,
      epoch: value.epoch,
      version: value.version,
      value: encodeValue(value),
    }).bytes

  /** Takes a notice that somebody sent. */
  const hear = (message: Uint8Array): Verdict => {
    let notice: Statement<Notice>
    let value: LedgerValue
    try {
      notice = open(NOTICE, trust.demand().fleet, message)
      value = decodeValue(notice.body.value)
    } catch {
      return 'reject'
    }
    // A member that we have not met yet may well be one; what it says spreads through those who know it.
    if (!notice.signers.every(signer => init.members().knows(nodeIdOf(signer)))) return 'ignore'
    if (value.group !== notice.body.group || value.epoch !== notice.body.epoch || value.version !== notice.body.version)
      return 'reject'
    if (notice.clock > now() + LIMITS.clockSkew) return 'reject'
    return learn(value) ? 'accept' : 'ignore'
  }

  network.serve(SERVICE, (_from, body) => {
    const question = check(questionSchema, decode(body, LIMITS.name * 2))
    if (!question.success) throw new FleetError('corrupt', 'not a question for news of a ledger')
    const [group, epoch, version] = question.data
    const value = values.get(group)
    return value !== undefined && newer(value, { epoch, version }) ? noticeOf(value) : new Uint8Array()
  })

  const askNeighbour = async (value: LedgerValue): Promise<void> => {
    const peer = random.pick(init.members().links)
    if (peer === undefined) return
    const answer = await network.request(peer, SERVICE, encode([value.group, value.epoch, value.version]), {
      signal: timeLimit(ASK_TIMEOUT, stopping.signal),
    })
    if (answer.byteLength > 0) hear(answer)
  }

  const read = async (group: string, signal: AbortSignal): Promise<LedgerValue | null> => {
    const value = await init.access(group).read(signal)
    if (value !== null) learn(value)
    return value
  }

  const schedule = (group: string): void => {
    if (stopping.signal.aborted) return
    const value = values.get(group)
    const quiet = value !== undefined && isOver(value.phase)
    const every = quiet ? ASK_EVERY : READ_EVERY * Math.max(1, init.members().count / UNSTRETCHED)
    const wait = value === undefined ? random.int(1_000) : every / 2 + random.int(every)
    clearTimeout(timers.get(group))
    timers.set(
      group,
      setTimeout(() => {
        const looked: Promise<unknown> = quiet ? askNeighbour(value) : read(group, stopping.signal)
        looked
          .catch(error => log.debug({ group, err: error }, 'no news of the ledger could be had'))
          .finally(() => schedule(group))
      }, wait),
    )
  }

  return {
    known: group => values.get(group),
    read,
    async propose(group, action, signal) {
      const began = now()
      const answer = await init.access(group).propose(action, signal)
      log.debug(
        {
          group,
          action: action.type,
          outcome: answer.type,
          reason: answer.type === 'no-quorum' ? answer.reason : '',
          took: now() - began,
        },
        'a proposal to the ledger',
      )
      if (answer.type === 'no-quorum') return answer
      if (learn(answer.value) && answer.type === 'committed') network.publish('rollouts', noticeOf(answer.value))
      if (timers.has(group)) schedule(group)
      return answer
    },
    gossip: hear,
    follow(group) {
      if (!timers.has(group)) schedule(group)
    },
    stop() {
      stopping.abort()
      for (const timer of timers.values()) clearTimeout(timer)
    },
  }
}

function newer(a: Position, b: Position): boolean {
  return a.epoch !== b.epoch ? a.epoch > b.epoch : a.version > b.version
}
