import type { GossipSub } from '@chainsafe/libp2p-gossipsub'

/**
 * The parts of gossipsub that a latecomer is told with. They are not in its types; that they are still there is what
 * "a message that was published before the neighbour listened" of test/daemon/network/conformance.ts shows.
 */
interface Insides {
  /** The messages of the last three heartbeats, of a second each, that were found good: the newest first. */
  readonly mcache: { getGossipIDs(topics: ReadonlySet<string>): Map<string, Uint8Array[]> }
  /** Peers that can be spoken to; they may be heard before that. */
  readonly streamsOutbound: ReadonlyMap<string, unknown>
  sendRpc(peer: string, rpc: object): boolean
}

/** Messages that one latecomer is told of. */
const MAX_TOLD = 512

/**
 * Tells a peer that begins to listen to `topic` what was said there in the last three seconds.
 *
 * gossipsub sends a message to those who listen at that moment, and names older ones (IHAVE) to peers outside of its mesh alone.
 * A neighbour whose link is up, but whose subscription or whose stream is still on its way, is taken into the mesh at once
 * and would never hear of it: what has no anti-entropy of its own, such as a query, would be lost to a daemon that has just
 * started.
 */
export function tellLatecomers(pubsub: GossipSub, topic: string): void {
  const insides = pubsub as unknown as Insides
  const late = new Set<string>()

  const tell = (peer: string): void => {
    if (!insides.streamsOutbound.has(peer)) return
    late.delete(peer)
    const messageIDs = (insides.mcache.getGossipIDs(new Set([topic])).get(topic) ?? []).slice(0, MAX_TOLD)
    if (messageIDs.length === 0) return
    const control = { ihave: [{ topicID: topic, messageIDs }], iwant: [], graft: [], prune: [], idontwant: [] }
    insides.sendRpc(peer, { subscriptions: [], messages: [], control })
  }

  pubsub.addEventListener('subscription-change', ({ detail: { peerId, subscriptions } }) => {
    if (!subscriptions.some(each => each.subscribe && each.topic === topic)) return
    const peer = peerId.toString()
    late.add(peer)
    tell(peer)
  })
  pubsub.addEventListener('gossipsub:heartbeat', () => {
    if (late.size === 0) return
    const listening = new Set(pubsub.getSubscribers(topic).map(String))
    for (const peer of late) {
      if (listening.has(peer)) tell(peer)
      else late.delete(peer)
    }
  })
}
