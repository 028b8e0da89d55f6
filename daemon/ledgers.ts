import type { Logger } from 'pino'
import type { MemberView } from '../membership/index.ts'
import {
  type Address,
  type Authority,
  type Digest,
  eraOf,
  FleetError,
  genesisVotersOf,
  type Millis,
  type NodeId,
  open,
  openPlan,
  PLAN,
  type Plan,
  type Random,
  type Recovery,
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
  type Reply,
  type Request,
  recovered,
  type Voter,
  type VoterStore,
} from '../rollout/index.ts'
import type { Network } from './network/index.ts'
import { type LedgerAccess, recoveredAlready } from './rollout/index.ts'
import { timeLimit } from './time-limit.ts'
import type { Trust } from './trust/index.ts'

const SERVICE = 'ledger'
const ASK_TIMEOUT = 2_000

export interface Ledgers {
  access(group: string): LedgerAccess
  /** A value that was heard of: where to look for the voters from now on. */
  believe(value: LedgerValue): void
  /** Where the voters are looked for; undefined while that is only where the policy says that they began. */
  believed(group: string): LedgerValue | undefined
  /** Believes what this node has on disk as a voter. Gives the groups that it votes for, or did. */
  recall(): Promise<readonly string[]>
  readonly voter: Voter
  genesisVoters(group: string): readonly NodeId[]
  /** Takes an operator's word that the ledger of a group goes on without its lost voters; it is on disk already. False when it is no news. */
  acceptRecovery(recovery: Recovery): boolean
  /** Whether a value may be taken note of: what follows a recovery only by whoever has the operator's word of it on disk. */
  isOfEra(value: LedgerValue): boolean
  /**
   * What is known of a ledger whose voters are lost: asked of each voter alone, from the newest of what was `heard` and what is known here on. Throws
   * `refused` where a voter goes by a recovery that this node has not heard of.
   */
  survey(group: string, heard: LedgerValue | undefined, signal: AbortSignal): Promise<Survey>
}

/** What those who are left know of a group's ledger. */
export interface Survey {
  /** The newest value that anybody has. */
  readonly newest: LedgerValue
  /** Its voters that did not answer, and the successors that did not, where it names some; with the reason of each. */
  readonly silent: ReadonlyMap<NodeId, string>
}

/** Throws `refused` where no policy names any. */
function genesisVoters(authority: Authority, group: string): readonly NodeId[] {
  const voters = genesisVotersOf(authority, group)
  if (voters === undefined)
    throw new FleetError(
      'refused',
      `the policy names no voters for group ${group}; operators have to sign one that does`,
    )
  return voters
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
  const { network, trust, random, now, log } = init
  const clients = new Map<string, LedgerClient>()
  const recoveries = new Map<string, LedgerValue>()
  const isOfEra = ({ group, epoch }: LedgerValue): boolean => eraOf(epoch) <= eraOf(recoveries.get(group)?.epoch ?? 0)
  const votersOf = (group: string): readonly NodeId[] => genesisVoters(trust.demand(), group)
  // A kept plan's right to be said was checked when it was taken; operators come and go.
  const { plan, objection } = init
  const voter = createVoter(
    {
      ...{ self: network.self, plan, genesisVoters: votersOf, objection, now },
      recovered: group => recoveries.get(group),
    },
    init.store,
    bytes => open(PLAN, trust.demand().fleet, bytes),
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

  const askAnyEra = async (to: NodeId, request: Request, signal: AbortSignal): Promise<Reply> => {
    if (to === network.self) return voter.answer(request)
    const bounded = timeLimit(ASK_TIMEOUT, signal)
    const body = encodeRequest(request)
    return decodeReply(await network.request(to, SERVICE, body, { signal: bounded, addresses: init.addresses(to) }))
  }
  const ask = async (to: NodeId, request: Request, signal: AbortSignal): Promise<Reply> => {
    const reply = await askAnyEra(to, request, signal)
    if (reply.type === 'moved' && !isOfEra(reply.first))
      throw new FleetError('unavailable', 'it goes by a recovery that this node has not heard of yet')
    return reply
  }

  const client = (group: string): LedgerClient => {
    let known = clients.get(group)
    if (known === undefined) {
      known = createLedgerClient({
        self: network.self,
        genesis: genesis(group, votersOf(group)),
        plan: init.plan,
        random,
        now,
        send: ask,
      })
      const first = recoveries.get(group)
      if (first !== undefined) known.believe(first)
      clients.set(group, known)
    }
    return known
  }

  return {
    voter,
    genesisVoters: votersOf,
    believe(value) {
      if (isOfEra(value)) client(value.group).believe(value)
    },
    believed(group) {
      const first = clients.get(group)?.believed()
      return first === undefined || first.epoch === 1 ? undefined : first
    },
    async recall() {
      const groups = await init.store.groups()
      for (const group of groups) {
        try {
          // Not the value: whether that was committed only a quorum can say.
          const first = (await voter.recall(group))?.first
          if (first !== undefined && isOfEra(first)) client(group).believe(first)
        } catch (error) {
          log.error({ group, err: error }, `this node cannot vote for group ${group}`)
        }
      }
      return groups
    },
    isOfEra,
    acceptRecovery(body) {
      const first = recovered(body)
      if (first.epoch <= (recoveries.get(body.group)?.epoch ?? 0)) return false
      recoveries.set(body.group, first)
      clients.get(body.group)?.believe(first)
      return true
    },
    async survey(group, heard, signal) {
      const kept = await voter.recall(group).catch(() => null)
      let newest = genesis(group, votersOf(group))
      for (const value of [heard, clients.get(group)?.believed(), kept?.value, recoveries.get(group)])
        if (value !== undefined && isOfEra(value) && isNewer(value, newest)) newest = value
      // Who has moved on names voters that have not been asked yet.
      for (;;) {
        const { epoch, voters, successors } = newest
        const asked = new Map([
          ...(successors ?? []).map(to => [to, epoch + 1] as const),
          ...voters.map(to => [to, epoch] as const),
        ])
        const silent = new Map<NodeId, string>()
        await Promise.all(
          [...asked].map(async ([to, of]) => {
            const reply = await askAnyEra(to, { type: 'read', group, epoch: of }, signal).catch(error => {
              silent.set(to, toFleetError(error).message)
            })
            const value = reply?.type === 'state' ? reply.value : reply?.type === 'moved' ? reply.first : newest
            if (!isOfEra(value)) throw recoveredAlready(group, to)
            if (isNewer(value, newest)) newest = value
          }),
        )
        if (newest.epoch === epoch && (newest.successors === null || successors !== null)) return { newest, silent }
      }
    },
    access: group => ({
      propose: (action, signal) => client(group).propose(action, signal),
      async read(signal) {
        const outcome = await client(group).read(signal)
        return outcome.type === 'committed' ? outcome.value : null
      },
    }),
  }
}

const isNewer = (a: LedgerValue, b: LedgerValue): boolean =>
  a.epoch !== b.epoch ? a.epoch > b.epoch : a.version > b.version

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
