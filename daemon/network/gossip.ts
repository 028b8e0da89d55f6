import './promise-with-resolvers.ts'
import { createHash } from 'node:crypto'
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { createTopicScoreParams } from '@chainsafe/libp2p-gossipsub/score'
import { type StreamHandler, StrictNoSign, TopicValidatorResult, type Topology } from '@libp2p/interface'
import type { Logger } from 'pino'
import { FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import { tellLatecomers } from './latecomers.ts'
import type { Topic, Verdict } from './network.ts'
import type { Node, NodeComponents } from './node.ts'
import type { Session, SessionHandler, Sessions } from './sessions.ts'
import { silentLogger } from './silent-logger.ts'

export const TOPICS: readonly Topic[] = ['members', 'events', 'rollouts']

/** Gossip of one fleet. It sees exactly the peers that `join` names, each over the connection that carries its link. */
export interface Gossip {
  join(session: Session): void
  leave(session: Session): void
  publish(topic: Topic, message: Uint8Array): void
  stop(): Promise<void>
}

type Registrar = NodeComponents['registrar']

/** What a topic is called on the wire: says nothing of the fleet to one who does not know its id. */
export function topicName(fleet: string, topic: Topic): string {
  return createHash('sha256').update(`fleetd/topic/1\0${fleet}\0${topic}`).digest('base64url')
}

/** Frames of gossipsub hold several messages when a peer asks for what it missed. */
const MAX_RPC = 4 * 1024 * 1024
/** How long a gossip stream waits for the link that it belongs to. */
const JOIN_TIMEOUT = 5_000
/** How long after a gossip stream ended its connection may still be found open, in milliseconds. */
const GOING_DOWN = 1_000
/** Bytes that may wait for one slow neighbour before messages to it are dropped; anti-entropy makes up for them. */
const MAX_OUTBOUND = 8 * 1024 * 1024

/**
 * Neighbours in the mesh of a topic: as few as keep a random graph whole, where the default is 6 of up to 12. Each hears a message from every
 * one of them, and pays for each copy with as much as for the first: with 40 daemons on two cores an event cost each 9.1 ms of processor
 * time with the default and 8.4 with this, 4.7 and 3.7 kB, and was handed out within 195 and 164 ms (p50), 463 and 419 (p99). What a cut of
 * the mesh loses, lazy gossip brings a second later, and anti-entropy what that loses.
 */
const MESH = { D: 4, Dlo: 3, Dhi: 5, Dout: 1 }

// What a rejected message costs: P4 of gossipsub v1.1 (libp2p/specs, pubsub/gossipsub/gossipsub-v1.1.md) is the square of
// their number, which decays every second. One takes the sender out of the mesh and stops lazy gossip (-10); the second
// silences it (-80) for some twenty seconds, each further one for longer; all is forgiven after ten minutes of none.
// Our traffic is bursts with silence between: who delivered nothing for a minute did nothing wrong (P3 off), and being
// first or old in the mesh (P1, P2) must not pay for rejected messages.
const TOPIC_SCORE = createTopicScoreParams({
  topicWeight: 1,
  invalidMessageDeliveriesWeight: -25,
  invalidMessageDeliveriesDecay: 0.995,
  timeInMeshWeight: 0,
  firstMessageDeliveriesWeight: 0,
  meshMessageDeliveriesWeight: 0,
  meshFailurePenaltyWeight: 0,
})

export async function createGossip(
  { components }: Node,
  sessions: Sessions,
  fleet: string,
  deliver: (topic: Topic, message: Uint8Array, from: NodeId) => Verdict,
  log: Logger,
): Promise<Gossip> {
  const names = new Map(TOPICS.map(topic => [topicName(fleet, topic), topic]))
  const gate = gatedRegistrar(components.registrar, sessions)
  const pubsub = gossipsub({
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: ({ data }) => createHash('sha256').update(data).digest(),
    emitSelf: false,
    ...MESH,
    floodPublish: true,
    fallbackToFloodsub: false,
    tagMeshPeers: false,
    doPX: false,
    ignoreDuplicatePublishError: true,
    allowPublishToZeroTopicPeers: true,
    allowedTopics: [...names.keys()],
    maxInboundStreams: 4,
    maxOutboundStreams: 4,
    runOnLimitedConnection: true,
    maxInboundDataLength: MAX_RPC,
    maxOutboundBufferSize: MAX_OUTBOUND,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: 1024,
      maxIhaveMessageIDs: 5000,
      maxIwantMessageIDs: 5000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 0,
    },
    scoreParams: {
      topics: Object.fromEntries([...names.keys()].map(name => [name, TOPIC_SCORE])),
      // A whole fleet may sit behind one address.
      IPColocationFactorWeight: 0,
      retainScore: 10 * 60_000,
    },
  })({
    peerId: components.peerId,
    privateKey: components.privateKey,
    peerStore: components.peerStore,
    connectionManager: components.connectionManager,
    registrar: gate.registrar,
    logger: silentLogger,
  }) as GossipSub

  tellLatecomers(pubsub, topicName(fleet, 'events'))
  await pubsub.start()
  for (const [name, topic] of names) {
    pubsub.topicValidators.set(name, (from, { data }) => {
      if (data.byteLength === 0 || data.byteLength > LIMITS.gossip) return TopicValidatorResult.Reject
      return resultOf(deliver(topic, data, from.toString() as NodeId))
    })
    pubsub.subscribe(name)
  }

  return {
    join: gate.join,
    leave: gate.leave,
    publish(topic, message) {
      if (message.byteLength === 0 || message.byteLength > LIMITS.gossip)
        throw new FleetError(
          'too-large',
          `a gossiped message has 1 to ${LIMITS.gossip} bytes, not ${message.byteLength}`,
        )
      pubsub
        .publish(topicName(fleet, topic), message)
        .catch(error => log.debug({ topic, reason: String(error) }, 'gossip not published'))
    },
    stop: () => pubsub.stop(),
  }
}

function resultOf(verdict: Verdict): TopicValidatorResult {
  switch (verdict) {
    case 'accept':
      return TopicValidatorResult.Accept
    case 'ignore':
      return TopicValidatorResult.Ignore
    case 'reject':
      return TopicValidatorResult.Reject
  }
}

/**
 * gossipsub asks libp2p's registrar for the peers that speak its protocol, which libp2p knows from identify. We do not run
 * identify, which tells a stranger our addresses; this registrar names the peers whose link is up, and lets in the
 * streams of admitted peers alone.
 */
function gatedRegistrar(real: Registrar, sessions: Sessions) {
  const topologies = new Map<string, { protocol: string; topology: Topology }>()
  const over = new Map<NodeId, Session>()
  const waiting = new Map<Session, () => void>()
  let ids = 0

  const registrar: Registrar = {
    getProtocols: () => real.getProtocols(),
    getHandler: protocol => real.getHandler(protocol),
    getTopologies: protocol => real.getTopologies(protocol),
    unhandle: (protocol, options) => real.unhandle(protocol, options),
    handle: (protocol, handler, options) => sessions.handle(protocol, guardedHandler(handler), limitsOf(options)),
    async register(protocol, topology) {
      const id = String(ids++)
      topologies.set(id, { protocol, topology })
      return id
    },
    unregister: id => void topologies.delete(id),
  }

  const guardedHandler =
    (handler: StreamHandler): SessionHandler =>
    async (session, stream) => {
      await untilJoined(session)
      const { source } = stream
      stream.source = (async function* () {
        try {
          yield* source
        } finally {
          // gossipsub forgets a peer whose stream ends and never asks for it again, so the connection must not outlive
          // it. A connection that is going down anyway ends its streams first, and has a moment to do so.
          setTimeout(() => {
            if (over.get(session.peer) === session) session.abort(new Error('its gossip stream ended'))
          }, GOING_DOWN).unref()
        }
      })()
      await handler({ connection: session.connection, stream })
    }

  /** The peer may know that the link is up one message before we do. */
  const untilJoined = (session: Session) =>
    new Promise<void>((resolve, reject) => {
      if (over.get(session.peer) === session) return resolve()
      const timer = setTimeout(() => {
        waiting.delete(session)
        reject(new Error('gossip without a link'))
      }, JOIN_TIMEOUT)
      waiting.set(session, () => {
        clearTimeout(timer)
        resolve()
      })
    })

  /** All protocols share one topology object in gossipsub; a peer is named to it once. */
  const distinct = () => new Set([...topologies.values()].map(({ topology }) => topology))

  return {
    registrar,
    join(session: Session): void {
      over.set(session.peer, session)
      waiting.get(session)?.()
      waiting.delete(session)
      for (const topology of distinct()) topology.onConnect?.(session.connection.remotePeer, session.connection)
    },
    leave(session: Session): void {
      if (over.get(session.peer) !== session) return
      over.delete(session.peer)
      for (const topology of distinct()) topology.onDisconnect?.(session.connection.remotePeer)
    },
  }
}

function limitsOf(options: { maxInboundStreams?: number; maxOutboundStreams?: number } | undefined) {
  return { maxInboundStreams: options?.maxInboundStreams ?? 4, maxOutboundStreams: options?.maxOutboundStreams ?? 4 }
}
