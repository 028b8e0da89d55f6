import { decode, encode, FleetError, type NodeId } from '../../protocol/index.ts'
import { type VoterContext, type VoterState, vote } from './acceptor.ts'
import { decodeValue, encodeValue, type Reply, type Request } from './messages.ts'

/** Keeps a voter's state. Resolves once the disk has it. */
export interface VoterStore {
  load(group: string): Promise<Uint8Array | undefined>
  /** Those of which there is something to load. */
  groups(): Promise<readonly string[]>
  save(group: string, state: Uint8Array): Promise<void>
}

/**
 * The voter that a daemon is, for every group's ledger. A reply leaves only when the state that it speaks of is on disk.
 * When the disk refuses, this group's voter falls silent until the daemon is restarted: it would otherwise speak of what it might forget.
 */
export interface Voter {
  answer(request: Request): Promise<Reply>
  /** What this voter has on disk; null where it never was one. Throws `corrupt`. */
  recall(group: string): Promise<VoterState | null>
}

export function createVoter(
  context: VoterContext,
  store: VoterStore,
  openPlanBytes: (bytes: Uint8Array) => VoterState['plan'],
): Voter {
  const states = new Map<string, VoterState | null>()
  const silent = new Map<string, unknown>()
  const turns = new Map<string, Promise<unknown>>()

  const held = async (group: string): Promise<VoterState | null> => {
    let state = states.get(group)
    if (state === undefined) {
      const bytes = await store.load(group)
      state = bytes === undefined ? null : decodeState(bytes, openPlanBytes)
      states.set(group, state)
    }
    return state
  }

  const handle = async (request: Request): Promise<Reply> => {
    const { group } = request
    if (silent.has(group))
      throw new FleetError(
        'unavailable',
        'this voter could not write to its disk and is silent until its daemon is restarted',
        { cause: silent.get(group) },
      )
    const state = await held(group)
    const result = vote(state, request, context)
    if (result.state !== state && result.state !== null) {
      try {
        await store.save(group, encodeState(result.state))
      } catch (error) {
        silent.set(group, error)
        throw error
      }
      states.set(group, result.state)
    }
    return result.reply
  }

  /** One after another, for a group: each sees what the one before has put on disk. */
  const inTurn = <T>(group: string, task: () => Promise<T>): Promise<T> => {
    const mine = (turns.get(group) ?? Promise.resolve()).then(task)
    turns.set(
      group,
      mine.catch(() => undefined),
    )
    return mine
  }

  return {
    answer: request => inTurn(request.group, () => handle(request)),
    recall: group => inTurn(group, () => held(group)),
  }
}

const STATE_LIMIT = 1024 * 1024

export function encodeState(state: VoterState): Uint8Array {
  return encode([
    encodeValue(state.first),
    [state.promised.round, state.promised.node],
    [state.accepted.round, state.accepted.node],
    encodeValue(state.value),
    state.plan?.bytes ?? null,
  ])
}

/** Throws `corrupt` on anything but what `encodeState` made: a voter must not guess. */
export function decodeState(bytes: Uint8Array, openPlanBytes: (bytes: Uint8Array) => VoterState['plan']): VoterState {
  try {
    const [first, promised, accepted, value, plan] = decode(bytes, STATE_LIMIT) as [
      Uint8Array,
      [number, NodeId],
      [number, NodeId],
      Uint8Array,
      Uint8Array | null,
    ]
    return {
      first: decodeValue(first),
      promised: { round: promised[0], node: promised[1] },
      accepted: { round: accepted[0], node: accepted[1] },
      value: decodeValue(value),
      plan: plan === null ? null : openPlanBytes(plan),
    }
  } catch (cause) {
    throw new FleetError(
      'corrupt',
      "a ledger's state on disk does not decode; this voter cannot vote with it: remove this node from the fleet and let it join again with an empty data directory",
      { cause },
    )
  }
}
