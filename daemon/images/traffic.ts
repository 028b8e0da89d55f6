import type { Digest, NodeId } from '../../protocol/index.ts'

/** What passed between this node and each peer for one image since the daemon started. Bytes of chunks as they travelled, packed or not, without framing. */
export interface PeerTraffic {
  received: number
  sent: number
  /** Why it is not asked any more. */
  banned: string | undefined
}

/** Who gave what to whom, by image. */
export interface Traffic {
  of(image: Digest): ReadonlyMap<NodeId, PeerTraffic>
  at(image: Digest, peer: NodeId): PeerTraffic
  /** Of all images with all peers; only grows. */
  total(): { readonly received: number; readonly sent: number }
}

export function createTraffic(): Traffic {
  const images = new Map<Digest, Map<NodeId, PeerTraffic>>()
  const peersOf = (image: Digest): Map<NodeId, PeerTraffic> => {
    let peers = images.get(image)
    if (peers === undefined) {
      peers = new Map()
      images.set(image, peers)
    }
    return peers
  }
  return {
    of: peersOf,
    at(image, peer) {
      const peers = peersOf(image)
      let traffic = peers.get(peer)
      if (traffic === undefined) {
        traffic = { received: 0, sent: 0, banned: undefined }
        peers.set(peer, traffic)
      }
      return traffic
    },
    total() {
      const total = { received: 0, sent: 0 }
      for (const peers of images.values())
        for (const { received, sent } of peers.values()) {
          total.received += received
          total.sent += sent
        }
      return total
    },
  }
}
