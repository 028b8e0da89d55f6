import { type NodeId, sha256 } from '../../protocol/index.ts'

const weights = new Map<string, number>()
/** 32 bits that stand for a text. */
function weightOf(text: string): number {
  const known = weights.get(text)
  if (known !== undefined) return known
  if (weights.size > 20_000) weights.clear()
  const weight = Number.parseInt(sha256(Buffer.from(text)).slice(0, 8), 16)
  weights.set(text, weight)
  return weight
}

/** The last mixing steps of MurmurHash3 (Appleby, public domain): every bit of the input reaches every bit of the result. */
function mix(value: number): number {
  let bits = value
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}

/**
 * The `count` nodes that are to hold what is pushed to a repository, the first of them first: rendezvous hashing (Thaler and
 * Ravishankar, 1998), so that everybody who knows the same nodes names the same ones, and one node more or less changes little.
 */
export function keepersOf(repository: string, nodes: readonly NodeId[], count: number): NodeId[] {
  const key = weightOf(repository)
  return nodes
    .map(node => ({ node, weight: mix(key ^ weightOf(node)) }))
    .sort((a, b) => b.weight - a.weight || (a.node < b.node ? -1 : 1))
    .slice(0, count)
    .map(({ node }) => node)
}
