import { once } from 'node:events'
import {
  type Address,
  type Checkup as Found,
  type MemberStatus,
  type Millis,
  type NodeId,
  type PeerCheck,
  type Random,
  toFleetError,
} from '../../protocol/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import { answerOf, CHECKUP, clockOf, KNOCK_TIMEOUT, OFTEN, serveCheckup } from './peer.ts'

/** Members that are asked: so many that should answer, and of those that are gone so many whose hosts are tried. */
const ASKED = 24
const GONE = 8
/** Longer than the other may take to knock at our host. Milliseconds. */
const ASK_TIMEOUT = 2 * KNOCK_TIMEOUT
/**
 * For so long what was found is given again, in milliseconds: a member that is asked sooner than OFTEN refuses, which would look like silence,
 * and one question may be faster than the one before it.
 */
const ROUND = OFTEN + 250

interface Peer {
  readonly id: NodeId
  readonly name: string
  readonly status: MemberStatus
  readonly addresses: readonly Address[]
}

export interface Checkup {
  /** What was found a moment ago is given again. Takes some seconds where somebody does not answer. Rejects only with what the signal was aborted with, or when the disk cannot be asked. */
  run(signal: AbortSignal): Promise<Found>
}

export interface CheckupInit {
  readonly network: Pick<Network, 'self' | 'links' | 'knock' | 'request' | 'serve'>
  readonly members: () => readonly Peer[]
  readonly disk: () => Promise<Found['disk']>
  readonly healthScore: () => number
  readonly damagedChunks: () => number
  readonly twin: () => Found['twin']
  readonly now: () => Millis
  readonly wall: () => number
  readonly random: Random
}

/** Registers its service with the network: call before that starts. */
export function createCheckup(init: CheckupInit): Checkup {
  const { network, members, now, random } = init
  network.serve(
    CHECKUP,
    serveCheckup({
      network,
      addressesOf: node => members().find(({ id }) => id === node)?.addresses ?? [],
      now,
    }),
  )

  const ask = async (peer: Peer): Promise<Pick<PeerCheck, 'silence' | 'clock' | 'back'>> => {
    const asked = now()
    try {
      const answer = answerOf(
        await network.request(peer.id, CHECKUP, new Uint8Array(), {
          addresses: peer.addresses,
          signal: timeLimit(ASK_TIMEOUT),
        }),
      )
      return { silence: null, clock: clockOf(asked, now(), answer), back: answer[2] }
    } catch (error) {
      return { silence: toFleetError(error).message, clock: null, back: null }
    }
  }
  const look = async (peer: Peer): Promise<PeerCheck> => {
    const { id, name, status, addresses } = peer
    const [port, answer] = await Promise.all([network.knock(addresses, KNOCK_TIMEOUT), ask(peer)])
    return { node: id, name, status, addresses, port, ...answer }
  }

  const examine = async (): Promise<Found> => {
    const others = random.shuffle(members().filter(({ id, status }) => id !== network.self && status !== 'left'))
    const there = others.filter(({ status }) => status === 'alive' || status === 'suspect')
    const gone = others.filter(({ status }) => status === 'failed' || status === 'overdue')
    const [disk, ...peers] = await Promise.all([
      init.disk(),
      ...[...there.slice(0, ASKED), ...gone.slice(0, GONE)].map(look),
    ])
    return {
      at: now(),
      wall: Math.floor(init.wall()) as Millis,
      disk,
      healthScore: init.healthScore(),
      damagedChunks: init.damagedChunks(),
      links: network.links().length,
      twin: init.twin(),
      peers: peers.sort((a, b) => (a.name < b.name ? -1 : 1)),
    }
  }

  let last: { readonly at: Millis; readonly found: Promise<Found> } | undefined
  return {
    async run(signal) {
      if (last === undefined || now() - last.at >= ROUND) last = { at: now(), found: examine() }
      return await unlessAborted(last.found, signal)
    },
  }
}

/** Others may wait for the same: it goes on when one of them does not want it any more. */
async function unlessAborted<T>(found: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const over = new AbortController()
  try {
    return await Promise.race([
      found,
      once(signal, 'abort', { signal: over.signal }).then(() => Promise.reject(signal.reason as Error)),
    ])
  } finally {
    over.abort()
  }
}
