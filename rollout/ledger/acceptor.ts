import { isDeepStrictEqual } from 'node:util'
import {
  type Digest,
  eraOf,
  LIMITS,
  type Millis,
  type NodeId,
  type Plan,
  type Statement,
} from '../../protocol/index.ts'
import { apply } from './apply.ts'
import { type Ballot, compareBallots, encodeValue, type Reply, type Request, ZERO } from './messages.ts'
import { isRefusal } from './refusal.ts'
import type { Action, LedgerValue } from './value.ts'

/**
 * All that a voter knows of one group's ledger. It is on disk before a reply that depends on it leaves (Rystsov,
 * arXiv 1802.07000 §2.2: acceptors answer from durable state).
 */
export interface VoterState {
  /** What the epoch that this voter is in began with. */
  readonly first: LedgerValue
  readonly promised: Ballot
  readonly accepted: Ballot
  readonly value: LedgerValue
  /** The plan that `value` names, kept so that the next transition can be checked. */
  readonly plan: Statement<Plan> | null
}

export interface VoterContext {
  readonly self: NodeId
  /** Plans that this node knows anyway. */
  readonly plan: (id: Digest) => Statement<Plan> | undefined
  /** The voters that a group begins with, by policy; an install of epoch 1 that says otherwise is refused. */
  readonly genesisVoters: (group: string) => readonly NodeId[]
  /** What this node has against a plan that is about to begin, in a sentence: whoever proposes it may not have looked, or may have a wrong clock. */
  readonly objection: (plan: Statement<Plan>) => string | undefined
  /** What the group's ledger goes on from by the newest word of an operator that this node has on its disk; undefined when none was ever needed. */
  readonly recovered: (group: string) => LedgerValue | undefined
  readonly now: () => Millis
}

/**
 * One request to one voter: the state after it and the reply. The caller must have `state` on disk before it sends the
 * reply; when the disk refuses, the reply is not sent and this voter answers nothing more until it has been restarted.
 *
 * A voter answers only for the epoch that it is installed in. Every epoch is a register of its own with fixed voters: within
 * one, this is the acceptor of CASPaxos.
 */
export function vote(
  state: VoterState | null,
  request: Request,
  context: VoterContext,
): { state: VoterState | null; reply: Reply } {
  const first = context.recovered(request.group)
  // An operator has given up what this voter is in: it answers for that no more.
  if (first !== undefined && (state === null || state.first.epoch < first.epoch)) {
    if (first.voters.includes(context.self)) return vote(installedIn(first, null), request, context)
    if (epochOf(request) < first.epoch) return { state, reply: { type: 'moved', first } }
  }
  const same = (reply: Reply): { state: VoterState | null; reply: Reply } => ({ state, reply })
  if (request.type === 'install') return install(state, request.first, context)
  if (state === null || state.first.epoch < request.epoch) return same({ type: 'not-installed' })
  if (state.first.epoch > request.epoch) return same({ type: 'moved', first: state.first })
  switch (request.type) {
    case 'read':
      return same({ type: 'state', ballot: state.accepted, value: state.value })
    case 'prepare':
      if (compareBallots(request.ballot, state.promised) <= 0)
        return same({ type: 'rejected', promised: state.promised })
      return {
        state: { ...state, promised: request.ballot },
        reply: { type: 'promised', accepted: state.accepted, value: state.value },
      }
    case 'accept':
      return accept(state, request, context)
    default:
      return request satisfies never
  }
}

const epochOf = (request: Request): number => (request.type === 'install' ? request.first.epoch : request.epoch)

const installedIn = (first: LedgerValue, plan: Statement<Plan> | null): VoterState => ({
  first,
  promised: ZERO,
  accepted: ZERO,
  value: first,
  plan,
})

/** What this voter could not read again from its own disk it must not accept: it could never vote again. */
const isTooLarge = (value: LedgerValue): boolean => encodeValue(value).byteLength > LIMITS.ledgerValue
const TOO_LARGE: Reply = {
  type: 'illegal',
  reason: `the value has more than ${LIMITS.ledgerValue} bytes, the most that a ledger holds`,
}

function accept(
  state: VoterState,
  request: Extract<Request, { type: 'accept' }>,
  context: VoterContext,
): { state: VoterState; reply: Reply } {
  const { ballot, value, change } = request
  // Repeated deliveries of the ballot that was accepted get the same answer.
  if (compareBallots(ballot, state.promised) < 0)
    return { state, reply: { type: 'rejected', promised: state.promised } }
  if (value.group !== request.group || value.epoch !== request.epoch)
    return { state, reply: { type: 'illegal', reason: 'the value is of another group or epoch' } }
  if (isTooLarge(value)) return { state, reply: TOO_LARGE }
  const plan = planOf(state, request, context)
  if (value.plan !== null && plan === undefined) return { state, reply: { type: 'need-plan' } }
  if (change !== null) {
    const result = apply(change.from, change.action, plan?.body)
    if (isRefusal(result)) return { state, reply: { type: 'illegal', reason: result.reason } }
    const objection = objectionTo(change.action, result, plan?.body, context)
    if (objection !== undefined) return { state, reply: { type: 'illegal', reason: objection } }
    if (!isDeepStrictEqual(result, value))
      return {
        state,
        reply: {
          type: 'illegal',
          reason: 'this voter makes another value of that action; are all daemons of the same version?',
        },
      }
  }
  return {
    state: { ...state, promised: ballot, accepted: ballot, value, plan: plan ?? null },
    reply: { type: 'accepted' },
  }
}

/**
 * What speaks against a change that the reducer allows: what depends on this node's policy and clock, on which voters need not agree. Asked of the change
 * alone and never of a value that is only written again, which others may have accepted already.
 */
function objectionTo(
  action: Action,
  result: LedgerValue,
  plan: Plan | undefined,
  { objection, now }: VoterContext,
): string | undefined {
  if (action.type === 'start') return objection(action.plan)
  if (action.type !== 'grant' || plan === undefined || result.permits.at(-1)?.kind !== 'replace') return undefined
  return now() > plan.notAfter ? `plan ${plan.generation} has expired by the clock of this voter` : undefined
}

/** The plan that the new value names, from wherever it can be had. */
function planOf(
  state: VoterState,
  request: Extract<Request, { type: 'accept' }>,
  context: VoterContext,
): Statement<Plan> | undefined {
  const id = request.value.plan
  if (id === null) return undefined
  const action = request.change?.action
  if (action?.type === 'start' && action.plan.id === id) return action.plan
  if (request.plan?.id === id) return request.plan
  if (state.plan?.id === id) return state.plan
  return context.plan(id)
}

function install(
  state: VoterState | null,
  first: LedgerValue,
  context: VoterContext,
): { state: VoterState | null; reply: Reply } {
  // Installed in it already, and maybe written to since: the first value must not come back over what followed it.
  if (state !== null && state.first.epoch === first.epoch) return { state, reply: { type: 'installed' } }
  if (state !== null && state.first.epoch > first.epoch) return { state, reply: { type: 'moved', first: state.first } }
  if (!first.voters.includes(context.self) || first.successors !== null)
    return { state, reply: { type: 'illegal', reason: 'this node is no voter of that epoch' } }
  const known = context.recovered(first.group)?.epoch ?? 0
  if (eraOf(first.epoch) > eraOf(known) || (eraOf(first.epoch) === eraOf(known) && first.epoch <= known))
    return { state, reply: { type: 'illegal', reason: 'no recovery that this voter knows of leads to that epoch' } }
  if (first.epoch === 1 && !isDeepStrictEqual([...first.voters], [...context.genesisVoters(first.group)])) {
    return { state, reply: { type: 'illegal', reason: 'the policy names other voters for the first epoch' } }
  }
  if (isTooLarge(first)) return { state, reply: TOO_LARGE }
  const plan = first.plan === null ? null : (context.plan(first.plan) ?? state?.plan ?? null)
  return { state: installedIn(first, plan?.id === first.plan ? plan : null), reply: { type: 'installed' } }
}
