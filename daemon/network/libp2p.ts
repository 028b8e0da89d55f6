import './promise-with-resolvers.ts'
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { type Address, FleetError, type KeyPair, LIMITS, type NodeId, nodeIdOf } from '../../protocol/index.ts'
import { type Endpoint, endpointOf, isLoopback } from './address.ts'
import { type Bulk, createBulk } from './bulk/index.ts'
import { acceptFrom, openOver } from './channels.ts'
import { answersAt, dial, untilAborted, usableEndpoints } from './dial.ts'
import { contained, throttled } from './events.ts'
import { createGossip, type Gossip } from './gossip.ts'
import { watchInterfaces } from './interfaces.ts'
import { knockAt } from './knock.ts'
import { createLinks, type Links } from './links.ts'
import { announce } from './mdns.ts'
import type { Admission, Channel, Network, NetworkEvents, RequestHandler } from './network.ts'
import { DialError } from './network.ts'
import { createNode, listen, type Node, reachableAt } from './node.ts'
import { isRelayed, type RelayedAddress, type Relaying, startRelaying } from './relay/index.ts'
import { ask, serveRequests } from './rpc.ts'
import { createSessions, type Session, type Sessions } from './sessions.ts'
import { followSockets } from './sockets.ts'

export interface Libp2pNetworkOptions {
  readonly key: KeyPair
  /** `HOST:PORT`, `[IPV6]:PORT` or a multiaddr; port 0 picks one. */
  readonly listen: readonly string[]
  /** What others are told to dial, in the same forms; empty for what is listened on. */
  readonly advertise: readonly string[]
  /** Announce ourselves to our fleet on the LAN and look for it there. */
  readonly mdns: boolean
  /** Never dial, accept or advertise anything but private, loopback and link-local addresses. */
  readonly lanOnly: boolean
  /** Carry connections between other members, and be reached through them where nobody can dial us. Never with `lanOnly`. */
  readonly relay: boolean
  readonly admission: Admission
  readonly log: Logger
}

/** An admitted connection that carries neither a link nor a stream is closed after one to two of these, in milliseconds. */
const IDLE_SWEEP = 30_000
/** Older connections to a peer that are tried for a link, and found to be dead, before its dial counts as failed: a tie leaves two. */
const MAX_STALE = 2
/** `heard` is called at most once in this time for one peer, in milliseconds: finer than any probe interval. */
const HEARD_EVERY = 200

/** Everything that exists between `start` and `stop`. */
interface Running {
  readonly node: Node
  bound: readonly Endpoint[]
  /** Where others can dial us, as last told. */
  direct: readonly Address[]
  /** No interface of this host leads anywhere. */
  cutOff: boolean
  readonly unwatch: () => void
  readonly sessions: Sessions
  readonly links: Links
  readonly bulk: Bulk
  readonly events: NetworkEvents
  readonly relaying: Relaying | undefined
  readonly sweep: NodeJS.Timeout
  /** Of the fleet that we belong to now. */
  presence: Presence | undefined
}

/** What a fleet's member shows of itself beyond its connections. */
interface Presence {
  readonly fleet: string
  readonly gossip: Gossip
  readonly silence: () => Promise<void>
}

/** The `Network` of a daemon, over libp2p: TCP, noise, yamux, gossipsub and mDNS. */
export function createLibp2pNetwork(options: Libp2pNetworkOptions): Network {
  const { key, admission, log, lanOnly } = options
  const self = nodeIdOf(key.publicKey)
  const boot = randomBytes(8).toString('hex')
  const requestHandlers = new Map<string, RequestHandler>()
  const channelHandlers = new Map<string, (channel: Channel) => void>()
  const linked = new Map<NodeId, Session>()
  /** One dial per peer at a time; the others wait and look again. */
  const dialing = new Map<NodeId, Promise<unknown>>()
  let state: 'new' | 'running' | 'stopped' = 'new'
  let running: Running | undefined
  /** Changes of presence, one after the other. */
  let changes: Promise<void> = Promise.resolve()

  async function start(given: NetworkEvents): Promise<void> {
    if (state !== 'new') throw new FleetError('internal', 'a network is started once')
    state = 'running'
    const events = contained(given, log, () => running !== undefined)
    const sockets = followSockets(log)
    const node = await createNode(options, socket =>
      running === undefined ? socket.destroy() : running.bulk.take(socket),
    )
    const unwatchInterfaces = watchInterfaces(() => {
      void sockets.endStranded()
      move()
    })
    const unwatch = (): void => {
      unwatchInterfaces()
      sockets.close()
    }
    try {
      const heard = throttled(HEARD_EVERY, events.heard)
      const sessions = await createSessions({ libp2p: node.libp2p, self, boot, admission, log, heard })
      const links = await createLinks(sessions, self, linkEvents(events), log)
      await serveRequests(sessions, requestHandlers)
      await acceptFrom(sessions, channelHandlers)
      const bulk = createBulk({
        lanOnly,
        addresses: direct,
        ask: (session, service, signal) => ask(session, service, new Uint8Array(), signal),
        serve: (service, handler) => void requestHandlers.set(service, handler),
        sessionOf: peer => linked.get(peer) ?? sessions.of(peer)[0],
        handlers: channelHandlers,
        heard,
        log,
      })
      const sweep = setInterval(() => closeIdle(sessions, links, bulk), IDLE_SWEEP)
      sweep.unref()
      running = {
        node,
        bound: [],
        direct: [],
        cutOff: false,
        unwatch,
        sessions,
        links,
        bulk,
        events,
        relaying: options.relay && !lanOnly ? await relayingOver(node, sessions, events) : undefined,
        sweep,
        presence: undefined,
      }
      // Nobody can come in before we listen, which is therefore last.
      await changePresence(running)
      running.bound = await listen(node, options.listen, log)
      running.direct = reachableAt(running.bound, options.advertise, lanOnly)
    } catch (error) {
      unwatch()
      await stop()
      await node.libp2p.stop()
      throw error
    }
  }

  function linkEvents(events: NetworkEvents) {
    return {
      up(session: Session) {
        linked.set(session.peer, session)
        running?.presence?.gossip.join(session)
        running?.relaying?.look()
        events.linkUp(session.peer)
      },
      down(session: Session, cause: 'closed' | 'reset') {
        linked.delete(session.peer)
        running?.presence?.gossip.leave(session)
        events.linkDown(session.peer, cause)
      },
      frame: events.frame,
    }
  }

  function relayingOver(node: Node, sessions: Sessions, events: NetworkEvents): Promise<Relaying> {
    return startRelaying({
      self,
      node,
      sessions,
      direct,
      linked: () => linked.values(),
      request: async (peer, service, body, signal) =>
        ask(await sessionForCall(peer, { signal }), service, body, signal),
      serve: (service, handler) => void requestHandlers.set(service, handler),
      dialBack: (peer, at, signal) =>
        answersAt({ libp2p: node.libp2p, lanOnly }, peer, at, speaksFrom(linked.get(peer)), signal),
      changed: () => events.moved?.(addresses()),
      log,
    })
  }

  /** Shows us to the fleet that our credentials are of, and to no other. */
  function changePresence(of: Running): Promise<void> {
    changes = changes.then(async () => {
      const fleet = running === of ? admission.credentials()?.fleet : undefined
      if (of.presence?.fleet === fleet) return
      const old = of.presence
      of.presence = undefined
      await old?.silence()
      await old?.gossip.stop()
      if (fleet === undefined) return
      const gossip = await createGossip(of.node, of.sessions, fleet, of.events.gossip, log)
      const silence = options.mdns
        ? await announce({ node: of.node, fleet, lanOnly, addresses: direct, discovered: of.events.discovered, log })
        : async () => {}
      of.presence = { fleet, gossip, silence }
      for (const session of linked.values()) gossip.join(session)
    })
    changes = changes.catch(error => log.error({ reason: String(error) }, 'gossip could not be started'))
    return changes
  }

  async function stop(): Promise<void> {
    state = 'stopped'
    const last = running
    running = undefined
    if (last === undefined) return
    clearInterval(last.sweep)
    last.unwatch()
    last.bulk.stop()
    await last.relaying?.stop()
    await Promise.all(last.links.peers().map(peer => last.links.close(peer)))
    await changePresence(last)
    await last.node.libp2p.stop()
  }

  const direct = (): readonly Address[] => running?.direct ?? []

  function addresses(): readonly Address[] {
    return [...direct(), ...(running?.relaying?.addresses() ?? [])].slice(0, LIMITS.addresses)
  }

  /** Takes notice of new addresses of this host. One that has lost them all says nothing: nobody would hear it. */
  function move(): void {
    if (running === undefined || running.bound.length === 0) return
    const now = reachableAt(running.bound, options.advertise, lanOnly)
    const lost = now.length === 0 || now.every(address => isLoopback(endpointOf(address).host))
    const back = running.cutOff && !lost
    running.cutOff = lost
    if (lost || (now.join() === running.direct.join() && !back)) return
    running.direct = now
    log.info({ addresses: now }, 'this host can be reached at other addresses, or again')
    running.relaying?.look()
    running.events.moved?.(addresses())
  }

  function use(): Running {
    if (running === undefined) throw new FleetError('unavailable', 'the network is not running')
    return running
  }

  /** An admitted connection to `node`, made at `at` when there is none. */
  async function sessionWith(
    of: Running,
    node: NodeId | undefined,
    at: readonly Address[],
    signal: AbortSignal,
  ): Promise<Session> {
    const have = () => (node === undefined ? undefined : (linked.get(node) ?? of.sessions.of(node)[0]))
    while (node !== undefined && dialing.has(node) && have() === undefined) {
      await untilAborted(Promise.allSettled([dialing.get(node)]), signal)
    }
    const existing = have()
    if (existing !== undefined) return existing
    if (admission.credentials() === undefined)
      throw new DialError('stranger', 'this daemon belongs to no fleet yet, so nobody would admit it')
    if (node === self) throw new DialError('stranger', 'that is this daemon itself')
    const attempt = dial(
      { libp2p: of.node.libp2p, sessions: of.sessions, lanOnly, through: through(of) },
      node,
      at,
      signal,
    )
    if (node === undefined) return attempt
    dialing.set(node, attempt)
    try {
      return await attempt
    } finally {
      dialing.delete(node)
    }
  }

  /** How a node is reached through a relay: over a connection to that one, which is made when there is none. */
  function through(of: Running) {
    const { relaying } = of
    if (relaying === undefined) return undefined
    return async (node: NodeId, via: RelayedAddress, signal: AbortSignal) => {
      if (via.relay === self)
        throw new DialError('unreachable', `${node} is reached through this node, and is not here`)
      await sessionWith(of, via.relay, [via.at], signal)
      return relaying.dial(node, via, signal)
    }
  }

  async function sessionForCall(
    node: NodeId,
    { signal, addresses: at = [] }: { signal: AbortSignal; addresses?: readonly Address[] },
  ): Promise<Session> {
    try {
      return await sessionWith(use(), node, at, signal)
    } catch (error) {
      if (!(error instanceof DialError)) throw error
      const code = error.failure === 'timeout' || error.failure === 'aborted' ? 'timeout' : 'unavailable'
      throw new FleetError(code, `${node} cannot be asked: ${error.message}`, { cause: error })
    }
  }

  async function connect(node: NodeId | undefined, at: readonly Address[], signal: AbortSignal): Promise<NodeId> {
    const of = use()
    for (let stale = 0; ; stale++) {
      if (node !== undefined && of.links.has(node)) return node
      const before = new Set(node === undefined ? [] : of.sessions.of(node))
      const session = await sessionWith(of, node, at, signal)
      try {
        await untilAborted(of.links.open(session), signal)
        return session.peer
      } catch (cause) {
        if (signal.aborted) throw new DialError('aborted', 'the dial was cancelled', { cause })
        session.abort(new Error('no link over it'))
        // An older connection may be one that the peer is closing, or have died without a word since it was made.
        if (before.has(session) && stale < MAX_STALE) continue
        throw new DialError('timeout', `${session.peer} was reached but opened no link`, { cause })
      }
    }
  }

  async function disconnect(node: NodeId): Promise<void> {
    const of = use()
    const sessions = [...of.sessions.of(node)]
    for (const session of sessions) session.retire()
    await of.links.close(node)
    for (const session of sessions) session.close()
  }

  return {
    self,
    addresses,
    start,
    stop,
    reconsider() {
      if (running === undefined) return
      running.sessions.reconsider()
      void changePresence(running)
    },
    connect,
    async knock(at, timeout) {
      const endpoints = await usableEndpoints(at.slice(0, LIMITS.addresses), lanOnly)
      return endpoints.length === 0 || running === undefined ? 'none' : knockAt(endpoints, timeout)
    },
    disconnect: node => void (running !== undefined && disconnect(node)),
    links: () => running?.links.peers() ?? [],
    send: (node, frame) => running?.links.send(node, frame) ?? false,
    publish: (topic, message) => running?.presence?.gossip.publish(topic, message),
    async request(node, service, body, given) {
      return ask(await sessionForCall(node, given), service, body, given.signal)
    },
    serve: (service, handler) => void requestHandlers.set(service, handler),
    async openChannel(node, service, given) {
      const session = await sessionForCall(node, given)
      return (await use().bulk.open(session, service, given.signal)) ?? openOver(session, service, given.signal)
    },
    acceptChannels: (service, handler) => void channelHandlers.set(service, handler),
  }
}

/** The IP address that a peer's own end of a direct connection has. */
function speaksFrom(session: Session | undefined): string | undefined {
  if (session === undefined || isRelayed(session.connection)) return undefined
  return session.connection.remoteAddr.nodeAddress().address
}

const idle = new WeakSet<Session>()

/** Closes connections that were made for a request or a channel and have not been used since the sweep before. */
function closeIdle(sessions: Sessions, links: Links, bulk: Bulk): void {
  for (const session of [...sessions.all()]) {
    const used = links.has(session.peer) || session.connection.streams.length > 0 || bulk.uses(session)
    if (used) idle.delete(session)
    else if (idle.has(session)) session.close()
    else idle.add(session)
  }
}
