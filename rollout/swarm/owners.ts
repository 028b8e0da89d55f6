import { type ChunkRef, type NodeId, sha256 } from '../../protocol/index.ts'

/** Who of a group of downloaders, this node among them, brings a chunk in: by rendezvous hash (Thaler and Ravishankar, 1998), so that all of them agree. */
export interface Owners {
  /** The group may be another by now. */
  regroup(): void
  isOther(index: number): boolean
  /** The chunk is here: nobody asks again. */
  forget(index: number): void
}

/** `others`: the downloaders of the group but this node. */
export function createOwners(self: NodeId, chunks: readonly ChunkRef[], others: () => readonly NodeId[]): Owners {
  /** Found out once for each group. */
  const owners = new Map<number, NodeId>()
  const weights = new Map<NodeId, number>()
  let group: readonly NodeId[] = [self]

  const weightOf = (id: NodeId): number => {
    let weight = weights.get(id)
    if (weight === undefined) {
      weight = Number.parseInt(sha256(Buffer.from(id)).slice(0, 8), 16)
      weights.set(id, weight)
    }
    return weight
  }
  const ownerOf = (index: number): NodeId => {
    // Chunk and node are hashed already: mixing a few bytes of both is all that is needed.
    const key = Number.parseInt(chunks[index]!.digest.slice(0, 8), 16)
    let best = -1
    let owner = self
    for (const id of group) {
      const mixed = key ^ weightOf(id)
      const score = (Math.imul(mixed, 0x9e3779b1) ^ (Math.imul(mixed, 0x85ebca6b) >>> 13)) >>> 0
      if (score > best) {
        best = score
        owner = id
      }
    }
    return owner
  }

  return {
    regroup() {
      const now = [self, ...others()].sort()
      if (now.length === group.length && now.every((id, at) => id === group[at])) return
      group = now
      owners.clear()
    },
    isOther(index) {
      let owner = owners.get(index)
      if (owner === undefined) {
        owner = ownerOf(index)
        owners.set(index, owner)
      }
      return owner !== self
    },
    forget: index => void owners.delete(index),
  }
}
