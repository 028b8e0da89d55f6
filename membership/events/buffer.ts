import type { FleetEvent, NodeId, Statement } from '../../protocol/index.ts'
import type { Range } from './frames.ts'

/** An event as it is delivered here. */
export interface Delivered {
  /** Where it stands in this node's order, from 1, without gaps. */
  readonly cursor: number
  readonly statement: Statement<FleetEvent>
  /** False for one from before this node was in the fleet: kept for replay, and told to nobody. */
  readonly told: boolean
}

/** What is kept of a delivered event: thousands are, so the envelope alone and no more than it takes to find it. */
export interface Kept {
  readonly cursor: number
  readonly node: NodeId
  readonly seq: number
  /** The envelope, in memory of its own: as it came it may be a small part of something large. */
  readonly bytes: Uint8Array
}

export const keptOf = ({ cursor, statement: { body, bytes } }: Delivered): Kept => ({
  cursor,
  node: body.node,
  seq: body.seq,
  bytes: bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes),
})

export interface BufferBounds {
  readonly count: number
  /** Of envelopes. */
  readonly bytes: number
}

/** Serf keeps 512 events of at most 9 KiB. */
export const BUFFER: BufferBounds = { count: 4_096, bytes: 16 * 1024 * 1024 }

/** The newest events, for replay and for neighbours that lack them. Bounded; the oldest go first. */
export interface Buffer {
  add(kept: Kept): void
  /** Up to `max` of those behind `cursor`, in order. */
  after(cursor: number, max: number): readonly Kept[]
  /** The cursor of the oldest that is kept; one above the newest when nothing is. */
  oldest(): number
  newest(): number
  /** The least seq of this author's that is kept; one above `upTo` when none is. */
  from(node: NodeId, upTo: number): number
  /** The least seq of each author that has any behind `cursor`. */
  firstSince(cursor: number): Map<NodeId, number>
  /** What is kept of these ranges, in order, until `bytes` are reached; true when there is more. */
  pick(ranges: readonly Range[], bytes: number, count: number): { items: Uint8Array[]; more: boolean }
  size(): { readonly count: number; readonly bytes: number }
}

export function createBuffer(bounds: BufferBounds): Buffer {
  let kept: Kept[] = []
  /** Those before it are gone; they are cut off now and then, not one by one. */
  let head = 0
  let bytes = 0
  const authors = new Map<NodeId, Kept[]>()

  const drop = (): void => {
    const { node, bytes: envelope } = kept[head]!
    head += 1
    bytes -= envelope.byteLength
    const own = authors.get(node)!
    own.shift()
    if (own.length === 0) authors.delete(node)
    if (head >= 1_024 && head * 2 >= kept.length) {
      kept = kept.slice(head)
      head = 0
    }
  }
  const oldest = (): number => kept[head]?.cursor ?? newest() + 1
  let last = 0
  const newest = (): number => last

  return {
    add(next) {
      kept.push(next)
      last = next.cursor
      bytes += next.bytes.byteLength
      const { node } = next
      const own = authors.get(node)
      if (own === undefined) authors.set(node, [next])
      else own.push(next)
      while (kept.length - head > bounds.count || bytes > bounds.bytes) drop()
    },
    after(cursor, max) {
      const start = head + Math.max(0, cursor + 1 - oldest())
      return kept.slice(start, start + max)
    },
    oldest,
    newest,
    from: (node, upTo) => authors.get(node)?.[0]?.seq ?? upTo + 1,
    firstSince(cursor) {
      const first = new Map<NodeId, number>()
      for (let at = kept.length - 1; at >= head && kept[at]!.cursor > cursor; at--)
        first.set(kept[at]!.node, kept[at]!.seq)
      return first
    },
    pick(ranges, most, count) {
      const found: Kept[] = []
      for (const [node, from, to] of ranges) {
        const own = authors.get(node) ?? []
        for (let at = firstAtLeast(own, from); at < own.length && own[at]!.seq <= to; at++) found.push(own[at]!)
      }
      found.sort((a, b) => a.cursor - b.cursor)
      const items: Uint8Array[] = []
      let size = 0
      for (const { bytes: envelope } of found) {
        if (items.length >= count || (size > 0 && size + envelope.byteLength > most)) break
        size += envelope.byteLength
        items.push(envelope)
      }
      return { items, more: items.length < found.length }
    },
    size: () => ({ count: kept.length - head, bytes }),
  }
}

/** An author's events are kept in the order of their seq: delivery is in that order. */
function firstAtLeast(own: readonly Kept[], seq: number): number {
  let [low, high] = [0, own.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (own[middle]!.seq < seq) low = middle + 1
    else high = middle
  }
  return low
}
