import type { Logger } from 'pino'
import type { Address, NodeId } from '../../protocol/index.ts'
import type { NetworkEvents } from './network.ts'

/** The events with what their receiver throws kept from libp2p's loops, and none delivered while `live` is false. */
export function contained(events: NetworkEvents, log: Logger, live: () => boolean): NetworkEvents {
  const guard =
    <Args extends unknown[], Result>(name: keyof NetworkEvents, call: (...args: Args) => Result, otherwise: Result) =>
    (...args: Args): Result => {
      if (!live()) return otherwise
      try {
        return call(...args)
      } catch (error) {
        log.error({ err: error, event: name }, 'a network event was not handled')
        return otherwise
      }
    }
  return {
    linkUp: guard('linkUp', events.linkUp.bind(events), undefined),
    linkDown: guard('linkDown', events.linkDown.bind(events), undefined),
    frame: guard('frame', events.frame.bind(events), undefined),
    gossip: guard('gossip', events.gossip.bind(events), 'ignore'),
    heard: guard('heard', events.heard.bind(events), undefined),
    discovered: guard('discovered', events.discovered.bind(events), undefined),
    moved: guard('moved', (addresses: readonly Address[]) => events.moved?.(addresses), undefined),
  }
}

/** Passes on at most one call for a peer every `ms`. */
export function throttled(ms: number, call: (peer: NodeId) => void): (peer: NodeId) => void {
  const last = new Map<NodeId, number>()
  return peer => {
    const now = performance.now()
    if (now - (last.get(peer) ?? Number.NEGATIVE_INFINITY) < ms) return
    if (last.size > 10_000) last.clear()
    last.set(peer, now)
    call(peer)
  }
}
