import type { Logger } from 'pino'
import type { MemberView } from '../membership/index.ts'
import {
  type Address,
  type Authority,
  type Digest,
  FleetError,
  type Millis,
  type NodeId,
  open,
  openPlan,
  PLAN,
  type Plan,
  type Random,
  type Statement,
  toFleetError,
} from '../protocol/index.ts'
import {
  type Candidate,
  createLedgerClient,
  createVoter,
  decodeReply,
  decodeRequest,
  encodeReply,
  encodeRequest,
  genesis,
  type LedgerClient,
  type LedgerValue,
  nextVoters,
  type Voter,
  type VoterStore,
} from '../rollout/index.ts'
import type { Network } from './network/index.ts'
import type { LedgerAccess } from './rollout/index.ts'
import { timeLimit } from './time-limit.ts'
import type { Trust } from './trust/index.ts'

const SERVICE = 'ledger'
const ASK_TIMEOUT = 2_000

export interface Ledgers {
  access(group: string): LedgerAccess
  /** A value that was heard of: where to look for the voters from now on. */
  believe(value: LedgerValue): void
  readonly voter: Voter
  genesisVoters(group: string): readonly NodeId[]
}

/** The voters that a group begins with: by the oldest policy that names them, because what was begun once is not begun again elsewhere. */
export function genesisVoters(authority: Authority, group: string): readonly NodeId[] {
  for (const { body } of authority.chain) {
    const found = body.groups[group] ?? body.groups['*']
    if (found !== undefined) return found.genesisVoters
  }
  throw new FleetError('refused', `the policy names no voters for group ${group}; operators have to sign one that does`)
}

/** This node as a voter, and its way to every group's voters. */
export function createLedgers(init: {
  network: Network
  trust: Trust
  store: VoterStore
  plan: (id: Digest) => Statement<Plan> | undefined
  addresses: (node: NodeId) => readonly Address[]
  /** What this node has against a plan that is about to begin. */
  objection: (plan: Statement<Plan>) => string | undefined
  /** Somebody proposes a plan that operators have not signed, or too few of them. */
  onForged: (plan: Uint8Array, reason: FleetError) => void
  now: () => Millis
  random: Random
  log: Logger
}): Ledgers {
  const { network, trust, random, now } = init
  const clients = new Map<string, LedgerClient>()
  const votersOf = (group: string): readonly NodeId[] => genesisVoters(trust.demand(), group)
  // A kept plan's right to be said was checked when it was taken; operators come and go.
  const { plan, objection } = init
  const voter = createVoter({ self: network.self, plan, genesisVoters: votersOf, objection, now }, init.store, bytes =>
    open(PLAN, trust.demand().fleet, bytes),
  )
  const opened = (bytes: Uint8Array): Statement<Plan> => {
    try {
      return openPlan(trust.demand(), bytes)
    } catch (error) {
      init.onForged(bytes, toFleetError(error))
      throw error
    }
  }
  network.serve(SERVICE, async (_from, body) => encodeReply(await voter.answer(decodeRequest(body, opened))))

  const client = (group: string): LedgerClient => {
    let known = clients.get(group)
    if (known === undefined) {
      known = createLedgerClient({
        self: network.self,
        genesis: genesis(group, votersOf(group)),
        plan: init.plan,
        random,
        now,
        async send(to, request, signal) {
          if (to === network.self) return voter.answer(request)
          const bounded = timeLimit(ASK_TIMEOUT, signal)
          return decodeReply(
            await network.request(to, SERVICE, encodeRequest(request), {
              signal: bounded,
              addresses: init.addresses(to),
            }),
          )
        },
      })
      clients.set(group, known)
    }
    return known
  }

  return {
    voter,
    genesisVoters: votersOf,
    believe: value => client(value.group).believe(value),
    access: group => ({
      propose: (action, signal) => client(group).propose(action, signal),
      async read(signal) {
        const outcome = await client(group).read(signal)
        return outcome.type === 'committed' ? outcome.value : null
      },
    }),
  }
}

/** How long a voter may be failed, or unheard of, before another takes its place. Milliseconds. */
export const GIVEN_UP_AFTER = 3_600_000

/** What is known here of a node that is a voter. */
export interface Standing {
  /** An operator said that it will not come back: written off, revoked. */
  readonly putOut: boolean
  /** Undefined when it is not listed. */
  readonly member: Pick<MemberView, 'status' | 'since'> | undefined
  /** Since when this daemon has been able to hear of it. */
  readonly listening: Millis
}

/** Whether a voter is given up: an operator or it itself said that it is gone, or it has not been there for an hour. */
export function isGivenUp({ putOut, member, listening }: Standing, now: Millis): boolean {
  if (putOut || member?.status === 'left') return true
  if (member !== undefined && member.status !== 'failed') return false
  return now - Math.max(member?.since ?? 0, listening) >= GIVEN_UP_AFTER
}

/** The voters that a group should have instead, where it is up to this node to ask for them: the first of those there are that is here. */
export function votersToAskFor(
  self: NodeId,
  value: LedgerValue,
  candidates: readonly Candidate[],
  isGone: (node: NodeId) => boolean,
): readonly NodeId[] | undefined {
  const here = new Set(candidates.filter(({ node, steady }) => steady && !isGone(node)).map(({ node }) => node))
  if (value.successors !== null || value.voters.find(node => here.has(node)) !== self) return undefined
  return nextVoters(value.group, value.voters, candidates, isGone)
}
