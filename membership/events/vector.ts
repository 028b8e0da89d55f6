import type { NodeId } from '../../protocol/index.ts'
import { BUCKETS } from './frames.ts'

/** How far each author's events are over, here. Only grows. */
export interface Vector {
  floor(node: NodeId): number
  /** False when it was as high already. */
  raise(node: NodeId, to: number): boolean
  entries(): IterableIterator<[NodeId, number]>
  /** One number for each bucket of authors: two vectors that agree have the same, and others hardly ever. */
  digests(): readonly number[]
}

export function createVector(initial: Iterable<readonly [NodeId, number]>): Vector {
  const floors = new Map<NodeId, number>()
  const digests = new Array<number>(BUCKETS).fill(0)
  const raise = (node: NodeId, to: number): boolean => {
    const before = floors.get(node) ?? 0
    if (to <= before) return false
    floors.set(node, to)
    const hash = hashOf(node)
    const bucket = hash % BUCKETS
    digests[bucket] = (digests[bucket]! ^ mix(hash, before) ^ mix(hash, to)) >>> 0
    return true
  }
  for (const [node, floor] of initial) raise(node, floor)
  return {
    floor: node => floors.get(node) ?? 0,
    raise,
    entries: () => floors.entries(),
    digests: () => digests,
  }
}

export const bucketOf = (node: NodeId): number => hashOf(node) % BUCKETS

/** FNV-1a (RFC 9923), 32 bits. An author who makes two vectors collide hides his own events until his next one. */
function hashOf(node: NodeId): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < node.length; at++) hash = Math.imul(hash ^ node.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** Zero for a floor of 0, so that an author without events is as one who is not there. */
function mix(hash: number, floor: number): number {
  if (floor === 0) return 0
  let value = hash ^ Math.imul(floor >>> 0, 0x9e3779b1) ^ Math.imul(Math.floor(floor / 2 ** 32), 0x85ebca77)
  // The finalizer of MurmurHash3.
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
