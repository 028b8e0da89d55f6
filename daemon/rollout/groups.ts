import type { Logger } from 'pino'
import * as z from 'zod'
import {
  type Address,
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
import { recoveredAlready } from './recovery.ts'

/** How often a node reads its group's ledger by quorum while a generation is active, although nobody told it of a change. */
const READ_EVERY = 5_000
/** Above this many members the reads of all together are kept at the same rate. */
const UNSTRETCHED = 50
/** How often it asks a neighbour for news of the ledger otherwise: what gossip lost comes to light so, without a connection to any voter. */
const ASK_EVERY = 60_000
const ASK_TIMEOUT = 5_000
/** How many neighbours are asked at once where the voters are, while nothing is known of a ledger. */
const ASKED = 5
/** How long voters of whom nothing is known are waited for before neighbours are asked again: they may be gone long since. */
const FIRST_LOOK = 3_000
/** A neighbour is told what is known here and answers with a notice of something newer, or with nothing. What it has on disk as a voter counts too. */
const SERVICE = 'ledger-news'
const questionSchema = z.tuple([fields.label, fields.counter, fields.counter])

export interface Groups {
  /** The last known value; undefined until something was heard. */
  known(group: string): LedgerValue | undefined
  /** Reads by quorum and takes note. Where nothing is known yet, neighbours are asked first where the voters are. */
  read(group: string, signal: AbortSignal): Promise<LedgerValue | null>
  propose(group: string, action: Action, signal: AbortSignal): Promise<Proposal>
  /** Takes a gossiped notice. */
  gossip(message: Uint8Array): Verdict
  /** The newest that this node knows of a ledger, or any member that is alive; nothing is taken note of. Throws `refused` where one goes by a recovery that this node has not heard of. */
  gather(group: string, signal: AbortSignal): Promise<LedgerValue | undefined>
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
  /** Tells `access` where to look for the voters, and what it goes by (`Ledgers`). */
  readonly believe: (value: LedgerValue) => void
  readonly believed: (group: string) => LedgerValue | undefined
  readonly members: () => {
    count: number
    knows: (node: NodeId) => boolean
    links: readonly NodeId[]
    alive: readonly NodeId[]
  }
  readonly addresses: (node: NodeId) => readonly Address[]
  readonly onValue: (value: LedgerValue) => void
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

/** Where a value stands in the history of its ledger. */
type Position = Pick<LedgerValue, 'epoch' | 'version'>
const NOWHERE: Position = { epoch: 0, version: 0 }

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

  /** What a notice says; a verdict where it counts for nothing. */
  const opened = (message: Uint8Array): LedgerValue | Verdict => {
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
    return notice.clock > now() + LIMITS.clockSkew ? 'reject' : value
  }

  /** Takes a notice that somebody sent. */
  const hear = (message: Uint8Array): Verdict => {
    const said = opened(message)
    return typeof said === 'string' ? said : learn(said) ? 'accept' : 'ignore'
  }

  /** The newest that can be told of a ledger. */
  const held = (group: string): LedgerValue | undefined => {
    const value = values.get(group)
    const believed = init.believed(group)
    return believed === undefined || (value !== undefined && newer(value, believed)) ? value : believed
  }

  network.serve(SERVICE, (_from, body) => {
    const question = check(questionSchema, decode(body, LIMITS.name * 2))
    if (!question.success) throw new FleetError('corrupt', 'not a question for news of a ledger')
    const [group, epoch, version] = question.data
    const value = held(group)
    return value !== undefined && newer(value, { epoch, version }) ? noticeOf(value) : new Uint8Array()
  })

  const ask = async (
    peer: NodeId,
    group: string,
    { epoch, version }: Position,
    signal: AbortSignal,
  ): Promise<LedgerValue | undefined> => {
    const answer = await network.request(peer, SERVICE, encode([group, epoch, version]), {
      signal: timeLimit(ASK_TIMEOUT, signal, stopping.signal),
      addresses: init.addresses(peer),
    })
    const said = answer.byteLength > 0 ? opened(answer) : 'ignore'
    return typeof said === 'string' || said.group !== group ? undefined : said
  }

  const askNeighbour = async (value: LedgerValue): Promise<void> => {
    const peer = random.pick(init.members().links)
    const said = peer === undefined ? undefined : await ask(peer, value.group, value, stopping.signal)
    if (said !== undefined) learn(said)
  }

  /** Asks neighbours where the voters are, until one knows. What it says is only where to look: it may be old, and it is not what a quorum says. */
  const lookAround = async (group: string, signal: AbortSignal): Promise<void> => {
    const known = values.get(group) ?? NOWHERE
    const asked = random.shuffle(init.members().links).slice(0, ASKED)
    await Promise.any(
      asked.map(async peer => {
        const said = await ask(peer, group, known, signal)
        if (said === undefined || !init.isOfEra(said))
          throw new FleetError('not-found', 'it knows nothing of that ledger')
        init.believe(said)
      }),
    ).catch(error => log.debug({ group, err: error }, 'no neighbour knows where the voters are'))
  }

  const read = async (group: string, signal: AbortSignal): Promise<LedgerValue | null> => {
    let value: LedgerValue | null = null
    if (values.get(group) === undefined) {
      await lookAround(group, signal)
      value = await init.access(group).read(timeLimit(FIRST_LOOK, signal))
      if (value === null) await lookAround(group, signal)
    }
    value ??= await init.access(group).read(signal)
    if (value !== null) learn(value)
    // Those that were asked may have been replaced: for the next time.
    else void lookAround(group, stopping.signal)
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
        // Where nothing is known it is looked around again soon.
        const signal = value === undefined ? timeLimit(ASK_EVERY / 4, stopping.signal) : stopping.signal
        const looked: Promise<unknown> = quiet ? askNeighbour(value) : read(group, signal)
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
      if (values.get(group) === undefined) await lookAround(group, signal)
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
      if (answer.type === 'no-quorum') {
        void lookAround(group, stopping.signal)
        return answer
      }
      if (learn(answer.value) && answer.type === 'committed') network.publish('rollouts', noticeOf(answer.value))
      if (timers.has(group)) schedule(group)
      return answer
    },
    gossip: hear,
    async gather(group, signal) {
      const known = held(group)
      const asked = init.members().alive
      const answers = await Promise.all(
        asked.map(async peer => {
          const said = await ask(peer, group, known ?? NOWHERE, signal).catch(() => undefined)
          if (said !== undefined && !init.isOfEra(said)) throw recoveredAlready(group, peer)
          return said
        }),
      )
      return answers.reduce(
        (newest, value) => (value === undefined || (newest !== undefined && !newer(value, newest)) ? newest : value),
        known,
      )
    },
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
