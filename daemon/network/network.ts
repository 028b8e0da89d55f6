import type { Address, NodeId } from '../../protocol/index.ts'

/** Gossip topics of a fleet. Image bytes never travel by gossip. */
export type Topic = 'members' | 'events' | 'rollouts'

/** What the validator says of a gossiped message: pass it on, drop it quietly (stale, already known), or drop it and score its sender down. */
export type Verdict = 'accept' | 'ignore' | 'reject'

/** Why a connection attempt failed. `refused`: the host answered that nothing listens there, which is strong evidence that the process is gone. */
export type DialFailure = 'refused' | 'unreachable' | 'timeout' | 'stranger' | 'aborted'

/**
 * What a node shows and asks when it meets another, before anything else may be said. The network layer runs
 * the exchange; the daemon decides with this.
 */
export interface Admission {
  /** The fleet and our certificate, once we have them. A daemon without them admits nobody and is admitted nowhere. */
  credentials(): { fleet: string; certificate: Uint8Array } | undefined
  /**
   * Whether `certificate`, which the peer `node` showed on a connection of its own, gives it a place in our fleet now.
   * Never throws; the reason is for our own log and is not told to a stranger.
   */
  judge(node: NodeId, certificate: Uint8Array): { admitted: true } | { admitted: false; reason: string }
}

/** A two-way stream of frames of at most LIMITS.channelFrame bytes, for bulk data. Closing either end ends `frames`. */
export interface Channel {
  readonly peer: NodeId
  /**
   * Resolves when the frame was handed on, so that awaiting it is back-pressure. Rejects `unavailable` once the channel is gone. `headroom`: as many bytes
   * before the frame in its memory may be overwritten, so that its length can be put there and the frame need not be copied.
   */
  send(frame: Uint8Array, headroom?: number): Promise<void>
  readonly frames: AsyncIterable<Uint8Array>
  /** Bytes that have come so far, those of a frame that is not whole yet among them: on a slow link the only sign that it comes. */
  readonly receivedBytes: number
  close(): void
}

export interface NetworkEvents {
  /** An admitted peer can now be sent frames. */
  linkUp(peer: NodeId): void
  /** `reset`: the other side's host closed the connection rudely, as when its process dies. */
  linkDown(peer: NodeId, cause: 'closed' | 'reset'): void
  /** A frame came over a link. */
  frame(peer: NodeId, frame: Uint8Array): void
  /** A gossiped message; the verdict decides whether it travels on. `from` is the neighbour that passed it, not its author. */
  gossip(topic: Topic, message: Uint8Array, from: NodeId): Verdict
  /** Any byte came from this peer, on whatever stream: a sign of life. */
  heard(peer: NodeId): void
  /** mDNS saw a node that announces our fleet on this LAN. */
  discovered(peer: NodeId, addresses: readonly Address[]): void
  /**
   * This host's addresses changed, and with them what `addresses` gives, or it is back on a network. Not called when it has lost them all:
   * it keeps the last, and nobody would hear it.
   */
  moved?(addresses: readonly Address[]): void
}

/** Answers one request of a service. What it throws reaches the asker as a FleetError with the same code and message. */
export type RequestHandler = (from: NodeId, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array> | Uint8Array

/**
 * All that the rest of the daemon knows of networking. Two implementations: libp2p.ts, and memory.ts for tests;
 * both pass test/daemon/network/conformance. Only admitted peers ever appear here: a stranger's frames,
 * requests and gossip are not delivered, and nothing is sent to it.
 */
export interface Network {
  readonly self: NodeId
  /** Where others can reach us: what is advertised, or else what is listened on (with wildcard addresses expanded). Without `/p2p/`. */
  addresses(): readonly Address[]

  /** `events` is called from the moment this resolves. Rejects `unavailable` naming the address when a port is taken. */
  start(events: NetworkEvents): Promise<void>
  /** Says goodbye on every link and closes every channel and listener. No event is delivered once it was called. Idempotent. */
  stop(): Promise<void>

  /** Credentials changed (claimed, joined, a revocation came in): connected peers are judged again, mDNS announces the fleet. */
  reconsider(): void

  /**
   * Makes sure of an admitted connection with an open link; a no-op when there is one. With `node` undefined the
   * address alone is known. Resolves with who answered. Rejects with DialError.
   */
  connect(node: NodeId | undefined, addresses: readonly Address[], signal: AbortSignal): Promise<NodeId>
  /**
   * Whether the host at these addresses answers a connection that is begun and ended at once: what its kernel says, whatever its
   * daemon does. `refused` only when every address that can be used refused; `none` when nothing was heard for `timeout` milliseconds. Never rejects.
   */
  knock(addresses: readonly Address[], timeout: number): Promise<'open' | 'refused' | 'none'>
  /** Closes the connection to a peer that is not wanted any more. */
  disconnect(node: NodeId): void
  /** Peers with an open link. */
  links(): readonly NodeId[]

  /** Sends a frame of 1 to LIMITS.linkFrame bytes over the link. False when there is no link or too much is queued on it: the frame is dropped then. */
  send(node: NodeId, frame: Uint8Array): boolean
  /**
   * Gossips a message to the fleet; one within the last two minutes that is the same to the byte goes nowhere. Not echoed
   * to ourselves. Throws `too-large` unless it has 1 to LIMITS.gossip bytes; that nobody is there is no failure.
   */
  publish(topic: Topic, message: Uint8Array): void

  /**
   * One request, one response (each at most LIMITS.rpcMessage bytes). Dials when not connected, at `addresses` where given,
   * and makes no link; such a connection is closed when it has not been used for a while.
   * Rejects with the FleetError that the handler threw, or `unavailable` / `timeout`.
   */
  request(
    node: NodeId,
    service: string,
    body: Uint8Array,
    options: { signal: AbortSignal; addresses?: readonly Address[] },
  ): Promise<Uint8Array>
  /** Registers the handler of a service. Call before `start`. */
  serve(service: string, handler: RequestHandler): void

  /** Opens a bulk channel; dials when not connected. */
  openChannel(
    node: NodeId,
    service: string,
    options: { signal: AbortSignal; addresses?: readonly Address[] },
  ): Promise<Channel>
  /** Registers who takes incoming channels of a service. Call before `start`. */
  acceptChannels(service: string, handler: (channel: Channel) => void): void
}

/** A connection could not be made; `failure` says how, which failure detection needs to know. */
export class DialError extends Error {
  override readonly name = 'DialError'
  readonly failure: DialFailure

  constructor(failure: DialFailure, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.failure = failure
  }
}
