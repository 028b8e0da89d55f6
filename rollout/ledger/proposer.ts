import {
  type Digest,
  type Millis,
  millis,
  type NodeId,
  type Plan,
  type Random,
  type Statement,
} from '../../protocol/index.ts'
import { apply, successor } from './apply.ts'
import { type Ballot, compareBallots, type Reply, type Request } from './messages.ts'
import { isRefusal } from './refusal.ts'
import type { Action, LedgerValue, Refusal } from './value.ts'

/** What a proposer knows of an epoch: its first value names its voters. */
export interface ProposerInit {
  readonly self: NodeId
  /** The first value of the newest epoch that is known here; the policy's genesis when nothing newer is. */
  readonly first: LedgerValue
  /** The highest round seen so far in that epoch; 0 when none. A good guess saves a round trip. */
  readonly round: number
  /** null: a read. */
  readonly action: Action | null
  readonly plan: (id: Digest) => Statement<Plan> | undefined
  readonly random: Random
}

export type ProposerInput =
  | { readonly type: 'begin' }
  | { readonly type: 'wake' }
  | { readonly type: 'reply'; readonly from: NodeId; readonly serial: number; readonly reply: Reply }

export type ProposerOutcome =
  | { readonly type: 'committed'; readonly value: LedgerValue }
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly value: LedgerValue }
  | { readonly type: 'no-quorum'; readonly reason: string }

export type ProposerEffect =
  /** Replies are given back with the same serial; those to an earlier one are ignored. */
  | { readonly type: 'ask'; readonly voter: NodeId; readonly serial: number; readonly request: Request }
  | { readonly type: 'wakeAt'; readonly at: Millis }
  | { readonly type: 'done'; readonly outcome: ProposerOutcome; readonly first: LedgerValue; readonly round: number }

/** How long a round waits for a majority. Several times a slow round trip with a slow disk at its end. */
const ROUND_TIMEOUT = 2_000
/**
 * Backoff between rounds, doubling with jitter: duelling proposers get out of each other's way. The first is as long as the voters took to answer, since
 * whoever outbid this one needs as long for what is left of its round, and would be outbid itself by a shorter one.
 */
const BACKOFF = { first: 10, last: 1_000 }
const MAX_ROUNDS = 24
/** How often a read looks again, while others write, before it writes the value itself in order to have it settled. */
const READ_TRIES = 6

type Round =
  | { readonly at: 'waiting' }
  | { readonly at: 'read'; readonly states: Map<NodeId, { ballot: Ballot; value: LedgerValue }> }
  | {
      readonly at: 'prepare'
      readonly ballot: Ballot
      readonly promises: Map<NodeId, { accepted: Ballot; value: LedgerValue }>
    }
  | {
      readonly at: 'accept'
      readonly ballot: Ballot
      readonly request: Extract<Request, { type: 'accept' }>
      readonly then: ProposerOutcome
      readonly accepted: Set<NodeId>
      /** Voters that will not have this change, whoever asks and how often. */
      readonly against: Set<NodeId>
    }
  | { readonly at: 'install'; readonly first: LedgerValue; readonly installed: Set<NodeId> }
  | { readonly at: 'over' }

export interface Proposer {
  step(now: Millis, input: ProposerInput): ProposerEffect[]
}

/**
 * One proposal or one read, driven to an outcome: the proposer of CASPaxos (arXiv 1802.07000 §2.2), which prepares, applies
 * the change to the value with the highest ballot, and has the result accepted.
 *
 * It first asks without a ballot. When a majority reports the same accepted ballot, that value was committed, and nothing
 * newer had been when the question left, since any newer majority would share a voter with this one. That answers a read, and
 * a proposal that the value refuses. A read that finds writes under way again and again writes the newest value itself.
 *
 * A closed value (one that names successors) is written again, installed at a majority of the successors, and the
 * proposal goes on in their epoch. `committed` is only ever said of a value that a majority of its epoch has accepted.
 */
export function createProposer(init: ProposerInit): Proposer {
  const { self, action, random } = init
  let first = init.first
  let highest = init.round
  let round: Round = { at: 'waiting' }
  let rounds = 0
  let reads = 0
  let serial = 0
  let deadline: Millis | null = null
  let asked = 0
  let pace = BACKOFF.first
  let trouble = 'no voter has answered'
  let effects: ProposerEffect[] = []

  const { group } = init.first
  const majority = (value: LedgerValue): number => (value.voters.length >> 1) + 1
  const ask = (voter: NodeId, request: Request): void => void effects.push({ type: 'ask', voter, serial, request })
  const askAll = (voters: readonly NodeId[], request: Request): void => {
    for (const voter of voters) ask(voter, request)
  }

  const begin = (now: Millis): void => {
    if (rounds >= MAX_ROUNDS) return finish({ type: 'no-quorum', reason: trouble })
    rounds += 1
    serial += 1
    deadline = millis(now + ROUND_TIMEOUT)
    asked = now
    if (reads < (action === null ? READ_TRIES : 1)) {
      reads += 1
      round = { at: 'read', states: new Map() }
      return askAll(first.voters, { type: 'read', group, epoch: first.epoch })
    }
    const ballot: Ballot = { round: highest + 1, node: self }
    highest += 1
    round = { at: 'prepare', ballot, promises: new Map() }
    askAll(first.voters, { type: 'prepare', group, epoch: first.epoch, ballot })
  }

  const again = (now: Millis, soon = false): void => {
    round = { at: 'waiting' }
    serial += 1
    const wait = soon ? 0 : Math.min(BACKOFF.last, pace * 2 ** Math.min(rounds, 8))
    deadline = millis(now + (wait === 0 ? 0 : pace + random.int(wait)))
    if (soon) begin(now)
  }

  const finish = (outcome: ProposerOutcome): void => {
    round = { at: 'over' }
    deadline = null
    effects.push({ type: 'done', outcome, first, round: highest })
  }

  /** A majority has promised: the newest of what they accepted is what the change applies to. */
  const decide = (
    now: Millis,
    ballot: Ballot,
    promises: ReadonlyMap<NodeId, { accepted: Ballot; value: LedgerValue }>,
  ): void => {
    let newest: { accepted: Ballot; value: LedgerValue } | undefined
    for (const promise of promises.values())
      if (newest === undefined || compareBallots(promise.accepted, newest.accepted) > 0) newest = promise
    const { value } = newest!
    // Closed or only read, or refused: the value is written again, so that what is said of it is true of a committed one.
    if (value.successors !== null || action === null)
      return write(now, ballot, value, null, { type: 'committed', value })
    const plan = action.type === 'start' ? action.plan : value.plan === null ? undefined : init.plan(value.plan)
    if (value.plan !== null && plan === undefined && action.type !== 'start') {
      trouble = `plan ${value.generation} has not reached this node yet`
      return again(now)
    }
    const result = apply(value, action, plan?.body)
    if (isRefusal(result)) return write(now, ballot, value, null, { type: 'refused', refusal: result, value })
    write(now, ballot, result, { from: value, action }, { type: 'committed', value: result })
  }

  const write = (
    now: Millis,
    ballot: Ballot,
    value: LedgerValue,
    change: Extract<Request, { type: 'accept' }>['change'],
    then: ProposerOutcome,
  ): void => {
    serial += 1
    deadline = millis(now + ROUND_TIMEOUT)
    const request: Extract<Request, { type: 'accept' }> = {
      type: 'accept',
      group,
      epoch: first.epoch,
      ballot,
      value,
      change,
      plan: null,
    }
    round = { at: 'accept', ballot, request, then, accepted: new Set(), against: new Set() }
    askAll(first.voters, request)
  }

  const committed = (now: Millis, then: ProposerOutcome): void => {
    const value = then.type === 'no-quorum' ? undefined : then.value
    if (value === undefined || value.successors === null) return finish(then)
    // The epoch is closed for good: the next one is opened before anything is said.
    const next = successor(value)
    serial += 1
    deadline = millis(now + ROUND_TIMEOUT)
    round = { at: 'install', first: next, installed: new Set() }
    askAll(next.voters, { type: 'install', group, first: next })
  }

  const moveTo = (now: Millis, next: LedgerValue): void => {
    if (next.group !== group || next.epoch <= first.epoch) return
    first = next
    highest = 0
    again(now, true)
  }

  /** A majority has answered. */
  const timed = (now: Millis): void => {
    pace = Math.min(BACKOFF.last / 2, Math.max(BACKOFF.first, now - asked))
  }

  const hear = (now: Millis, from: NodeId, reply: Reply): void => {
    if (reply.type === 'moved') {
      trouble = `the voters have moved on to epoch ${reply.first.epoch}`
      return moveTo(now, reply.first)
    }
    if (reply.type === 'not-installed') {
      // Whoever opened the epoch did not get round to this voter. We know what it began with.
      if (round.at !== 'install') ask(from, { type: 'install', group, first })
      trouble = 'a voter has yet to be installed'
      return
    }
    if (reply.type === 'illegal') {
      trouble = reply.reason
      if (round.at !== 'accept') return
      round.against.add(from)
      if (first.voters.length - round.against.size < majority(first)) finish({ type: 'no-quorum', reason: trouble })
      return
    }
    switch (round.at) {
      case 'read': {
        if (reply.type === 'installed') return ask(from, { type: 'read', group, epoch: first.epoch })
        if (reply.type !== 'state') return
        round.states.set(from, reply)
        return look(now, [...round.states.values()])
      }
      case 'prepare':
        if (reply.type === 'rejected') return outbid(now, reply.promised)
        if (reply.type === 'installed')
          return ask(from, { type: 'prepare', group, epoch: first.epoch, ballot: round.ballot })
        if (reply.type !== 'promised') return
        round.promises.set(from, reply)
        if (round.promises.size < majority(first)) return
        timed(now)
        decide(now, round.ballot, round.promises)
        return
      case 'accept': {
        if (reply.type === 'rejected') return outbid(now, reply.promised)
        if (reply.type === 'need-plan') {
          const id = round.request.value.plan
          const plan = id === null ? undefined : init.plan(id)
          if (plan !== undefined && round.request.plan === null) ask(from, { ...round.request, plan })
          return
        }
        if (reply.type === 'installed') return ask(from, round.request)
        if (reply.type !== 'accepted') return
        round.accepted.add(from)
        if (round.accepted.size >= majority(first)) committed(now, round.then)
        return
      }
      case 'install': {
        if (reply.type !== 'installed') return
        round.installed.add(from)
        if (round.installed.size < majority(round.first)) return
        const closing =
          action?.type === 'reconfigure' &&
          round.first.voters.every(voter => action.voters.includes(voter)) &&
          round.first.voters.length === action.voters.length
        const opened = round.first
        first = opened
        highest = 0
        if (closing) return finish({ type: 'committed', value: opened })
        return again(now, true)
      }
      case 'waiting':
      case 'over':
        return
      default:
        return round satisfies never
    }
  }

  /** Enough voters have told what they hold: do a majority of all hold the same? */
  const look = (now: Millis, states: readonly { ballot: Ballot; value: LedgerValue }[]): void => {
    if (states.length < majority(first)) return
    timed(now)
    for (const { ballot, value } of states) {
      highest = Math.max(highest, ballot.round)
      if (states.filter(state => compareBallots(state.ballot, ballot) === 0).length < majority(first)) continue
      if (action === null || value.successors !== null) return committed(now, { type: 'committed', value })
      // What the committed value refuses needs no write to be refused: asking in vain disturbs nobody.
      const plan = action.type === 'start' ? action.plan : value.plan === null ? undefined : init.plan(value.plan)
      if (value.plan === null || plan !== undefined) {
        const result = apply(value, action, plan?.body)
        if (isRefusal(result)) return finish({ type: 'refused', refusal: result, value })
      }
      return again(now, true)
    }
    // A write is under way. Once all have answered there is nothing to wait for.
    if (states.length === first.voters.length) again(now, action !== null)
  }

  const outbid = (now: Millis, promised: Ballot): void => {
    if (promised.round > highest) highest = promised.round
    trouble = 'other proposals kept getting in first'
    again(now)
  }

  return {
    step(now, input) {
      effects = []
      switch (input.type) {
        case 'begin':
          begin(now)
          break
        case 'wake':
          if (round.at === 'over' || deadline === null || now < deadline) break
          if (round.at === 'waiting') begin(now)
          else {
            trouble =
              round.at === 'install'
                ? 'too few of the new voters answer'
                : `too few of the ${first.voters.length} voters answer`
            again(now)
          }
          break
        case 'reply':
          if (input.serial === serial) hear(now, input.from, input.reply)
          break
        default:
          input satisfies never
      }
      if (deadline !== null) effects.push({ type: 'wakeAt', at: deadline })
      return effects
    },
  }
}
