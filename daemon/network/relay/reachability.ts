import { randomInt } from 'node:crypto'
import { type Address, decode, encode, FleetError, LIMITS, type NodeId } from '../../../protocol/index.ts'
import { timeLimit } from '../../time-limit.ts'
import type { RequestHandler } from '../network.ts'

/** The service that answers whether its node can dial the one that asks. */
export const REACH = 'reach'

/** How long after there is somebody to ask the first question waits, how long a doubt, and how long what is known holds. Milliseconds. */
const FIRST = 2_000
const CONFIRM = 3_000
const AGAIN = 5 * 60_000
/** Peers that are asked at once. */
const ASKED = 3
const ASK_TIMEOUT = 8_000
/** How long the peer may take to dial us, in milliseconds: less than we wait. */
const DIAL_TIMEOUT = 5_000
/** Questions that are answered at once, and how often one peer's are. */
const ANSWERING = 8
const OFTEN = 1_000

export interface Reachability {
  /** Somebody new can be asked, or this node moved: asks soon. */
  look(): void
  stop(): void
}

export interface ReachabilityInit {
  /** Peers that we dialled. One that dialled us has shown already that it can. */
  readonly peers: () => readonly NodeId[]
  /** Asks one of them. Rejects when it does not say. */
  readonly ask: (peer: NodeId, signal: AbortSignal) => Promise<boolean>
  /** Somebody cannot dial this node, or everybody who was asked can. Told at each change. */
  readonly changed: (dialled: boolean) => void
}

/**
 * Whether other members can dial this node. It cannot be dialled as soon as one of three has failed to twice in a row: those beside it behind the same
 * router can dial it, and are no proof that others can.
 */
export function createReachability({ peers, ask, changed }: ReachabilityInit): Reachability {
  const stopping = new AbortController()
  let dialled = true
  let doubts: readonly NodeId[] = []
  let timer: NodeJS.Timeout | undefined
  let dueAt = Number.POSITIVE_INFINITY
  let asking = false

  const within = (ms: number): void => {
    const at = performance.now() + ms
    if (stopping.signal.aborted || asking || at >= dueAt) return
    clearTimeout(timer)
    dueAt = at
    timer = setTimeout(() => void round(), ms)
    timer.unref()
  }
  const round = async (): Promise<void> => {
    dueAt = Number.POSITIVE_INFINITY
    const there = new Set(peers())
    const asked = [...new Set([...doubts.filter(peer => there.has(peer)), ...shuffled([...there])])].slice(0, ASKED)
    if (asked.length === 0) return
    asking = true
    const signal = timeLimit(ASK_TIMEOUT, stopping.signal)
    const answers = await Promise.all(asked.map(peer => ask(peer, signal).catch(() => undefined)))
    asking = false
    if (stopping.signal.aborted) return
    const failed = asked.filter((_, index) => answers[index] === false)
    const confirmed = failed.some(peer => doubts.includes(peer))
    const doubted = failed.length > 0 && !confirmed && dialled
    doubts = failed
    const next = confirmed ? false : failed.length === 0 && answers.includes(true) ? true : dialled
    if (next !== dialled) changed(next)
    dialled = next
    within(doubted ? CONFIRM : AGAIN + randomInt(AGAIN / 5))
  }

  return {
    look: () => within(FIRST),
    stop() {
      stopping.abort()
      clearTimeout(timer)
    },
  }
}

/** Answers the question. `dial` says whether the peer itself answers at one of the addresses; what it costs is bounded here. */
export function serveReach(
  dial: (peer: NodeId, addresses: readonly Address[], signal: AbortSignal) => Promise<boolean>,
): RequestHandler {
  const lately = new Map<NodeId, number>()
  let answering = 0
  return async (from, body, gone) => {
    const addresses = decodeAddresses(body)
    const now = performance.now()
    if (answering >= ANSWERING || now - (lately.get(from) ?? Number.NEGATIVE_INFINITY) < OFTEN)
      throw new FleetError('unavailable', 'this node has dialled enough for others in the last second')
    if (lately.size > 1_000) lately.clear()
    lately.set(from, now)
    answering += 1
    try {
      return encode([await dial(from, addresses, timeLimit(DIAL_TIMEOUT, gone))])
    } finally {
      answering -= 1
    }
  }
}

export const encodeAddresses = (addresses: readonly Address[]): Uint8Array => encode(addresses)

/** Throws `corrupt` or `too-large`. What an address says is not checked: one that cannot be dialled leads nowhere. */
export function decodeAddresses(body: Uint8Array): readonly Address[] {
  const raw = decode(body, LIMITS.addresses * 300)
  if (!Array.isArray(raw) || raw.length > LIMITS.addresses || !raw.every(one => typeof one === 'string'))
    throw new FleetError('corrupt', 'not a list of addresses')
  return raw as Address[]
}

/** Throws `corrupt` or `too-large` on what is no answer. */
export function decodeReached(body: Uint8Array): boolean {
  const raw = decode(body, 64)
  const [reached] = Array.isArray(raw) ? (raw as unknown[]) : []
  if (typeof reached !== 'boolean') throw new FleetError('corrupt', 'not an answer about reachability')
  return reached
}

function shuffled<T>(items: T[]): readonly T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = randomInt(last + 1)
    ;[items[last], items[other]] = [items[other]!, items[last]!]
  }
  return items
}
