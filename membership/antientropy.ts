import { type Digest, type Millis, millis, type NodeId } from '../protocol/index.ts'
import { BUCKETS, type Frame, type Item, type Key, MAX_KEYS, MAX_WANTED, type Rank } from './frames.ts'
import type { Entry, Table } from './table.ts'

/** What a frame of items carries at most, unless one item alone is larger: verifying it holds the loop for some 20 ms. Well under LIMITS.linkFrame. */
const FRAME_BYTES = 64 * 1024
/** What one want is answered with at most. A link has room for no more (daemon/network/links.ts), and what has not come is wanted again. */
const ANSWER_BYTES = 2 * 1024 * 1024
/** Keys that a frame is begun with at most; the last bucket may add some. */
const KEYS_PER_FRAME = 1_000
/** How long a neighbour may take to send what was wanted before it is wanted of another. Milliseconds. */
const PATIENCE = 5_000

// Anti-entropy (Demers et al., PODC 1987) in four steps: digests by bucket; keys of the buckets that differ; wants and
// offers; items. Its cost is in proportion to the difference. Everything is pulled, so that a node that many neighbours offer
// the same thing asks one of them for it, and verifies it once.

type Keys = Extract<Frame, { type: 'keys' }>
type Offer = Extract<Frame, { type: 'offer' }>
interface Names {
  readonly members: readonly NodeId[]
  readonly documents: readonly Digest[]
}

/** The answer to a neighbour's digests: our keys where they differ. None where they agree. */
export function keysFor(table: Table, digests: readonly number[]): Keys[] {
  const ours = table.digests()
  const frames: Keys[] = []
  let frame = { buckets: [] as number[], members: [] as Key[], documents: [] as Digest[] }
  const finish = (): void => {
    if (frame.buckets.length > 0) frames.push({ type: 'keys', ...frame })
    frame = { buckets: [], members: [], documents: [] }
  }
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (ours[2 * bucket] === digests[2 * bucket] && ours[2 * bucket + 1] === digests[2 * bucket + 1]) continue
    const keys = table.keys(bucket)
    frame.buckets.push(bucket)
    frame.members.push(...keys.members.slice(0, MAX_KEYS - KEYS_PER_FRAME))
    frame.documents.push(...keys.documents.slice(0, MAX_KEYS - KEYS_PER_FRAME))
    if (frame.members.length >= KEYS_PER_FRAME || frame.documents.length >= KEYS_PER_FRAME) finish()
  }
  finish()
  return frames
}

/** What we have in those buckets and the sender of the keys lacks. */
export function offerFor(table: Table, theirs: Keys): Offer | undefined {
  const known = new Map(theirs.members.map(key => [key.node, key]))
  const documentsKnown = new Set(theirs.documents)
  const members: Key[] = []
  const documents: Digest[] = []
  for (const bucket of theirs.buckets) {
    const keys = table.keys(bucket)
    members.push(...keys.members.filter(key => lacks(known.get(key.node), key)))
    documents.push(...keys.documents.filter(id => !documentsKnown.has(id)))
  }
  if (members.length + documents.length === 0) return undefined
  return { type: 'offer', members: members.slice(0, MAX_KEYS), documents: documents.slice(0, MAX_KEYS) }
}

/** What the sender of these keys has and we lack. */
export function lackedBy(table: Table, theirs: Pick<Keys, 'members' | 'documents'>): Names {
  return {
    members: theirs.members.filter(key => lacks(table.key(key.node), key)).map(key => key.node),
    documents: theirs.documents.filter(id => !table.documents.has(id)),
  }
}

const compareRanks = (a: Rank, b: Rank): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]
const newer = (a: Rank | null, b: Rank | null): boolean => a !== null && (b === null || compareRanks(a, b) > 0)

/** True when `key` has something that whoever has `known` does not. */
function lacks(known: Key | undefined, key: Key): boolean {
  if (known === undefined || newer(key.record, known.record) || newer(key.vitals, known.vitals)) return true
  return compareRanks(known.record, key.record) === 0 && key.claims.some(claim => !known.claims.includes(claim))
}

/** The statements about these members, and these documents, in frames of bounded size, the last of them marked when that is all. */
export function itemFrames(table: Table, { members, documents }: Names): Frame[] {
  const frames: { type: 'items'; items: Item[]; last: boolean }[] = [{ type: 'items', items: [], last: false }]
  let size = 0
  let total = 0
  const add = (item: Item): void => {
    total += item[1].byteLength
    if (total > ANSWER_BYTES) return
    if (size > 0 && size + item[1].byteLength > FRAME_BYTES) {
      frames.push({ type: 'items', items: [], last: false })
      size = 0
    }
    frames.at(-1)!.items.push(item)
    size += item[1].byteLength
  }
  // Documents carry revocations, and those decide whose records count.
  for (const id of new Set(documents)) {
    const bytes = table.documents.get(id)
    if (bytes !== undefined) add(['document', bytes])
  }
  for (const node of new Set(members)) {
    const entry = table.entries.get(node)
    if (entry !== undefined) for (const item of itemsOf(entry)) add(item)
  }
  frames.at(-1)!.last = total <= ANSWER_BYTES
  return frames
}

/** The record goes first: the rest hangs on it. */
function itemsOf(entry: Entry): Item[] {
  const items: Item[] = [['record', entry.record.bytes]]
  if (entry.vitals !== undefined) items.push(['vitals', entry.vitals.bytes])
  return [...items, ...claimItems(entry)]
}

/** What others say of it. */
export const claimItems = (entry: Entry): Item[] => [
  ...[...entry.suspicions.values()].map(suspicion => ['suspicion', suspicion.bytes] as const),
  ...entry.dismissals.map(dismissal => ['dismissal', dismissal.bytes] as const),
]

/** Asks each thing of one neighbour at a time, and each neighbour for a little at a time. */
export interface Puller {
  /** Adds what nobody is asked for yet; gives the want to send, unless one to this peer is under way. */
  ask(now: Millis, peer: NodeId, names: Names): Frame | undefined
  /** All that was wanted has come: gives the next want. */
  answered(now: Millis, peer: NodeId): Frame | undefined
  /** The link is gone; what it owed may be asked of others. */
  drop(peer: NodeId): void
  /** Gives up on those that took too long. True when something that was asked for has not come, since the last time. */
  missed(now: Millis): boolean
  busy(): boolean
  nextAt(): number
}

export function createPuller(): Puller {
  const pulls = new Map<NodeId, { queue: (NodeId | Digest)[]; until: Millis; asked: (NodeId | Digest)[] }>()
  /** What somebody was asked for, or will be. */
  const asked = new Set<NodeId | Digest>()
  let missing = false

  const next = (now: Millis, peer: NodeId): Frame | undefined => {
    const pull = pulls.get(peer)
    if (pull === undefined) return undefined
    for (const name of pull.asked) asked.delete(name)
    pull.asked = pull.queue.splice(0, MAX_WANTED)
    pull.until = millis(now + PATIENCE)
    if (pull.asked.length === 0) {
      pulls.delete(peer)
      return undefined
    }
    return {
      type: 'want',
      members: pull.asked.filter((name): name is NodeId => !isDigest(name)),
      documents: pull.asked.filter(isDigest),
    }
  }
  const drop = (peer: NodeId): void => {
    const pull = pulls.get(peer)
    if (pull === undefined) return
    pulls.delete(peer)
    missing = true
    for (const name of [...pull.asked, ...pull.queue]) asked.delete(name)
  }
  const expire = (now: Millis): void => {
    for (const [peer, pull] of pulls) if (now >= pull.until) drop(peer)
  }

  return {
    ask(now, peer, { members, documents }) {
      expire(now)
      const names = [...documents, ...members].filter(name => !asked.has(name))
      if (names.length === 0) return undefined
      for (const name of names) asked.add(name)
      const pull = pulls.get(peer)
      if (pull !== undefined) {
        pull.queue.push(...names)
        return undefined
      }
      pulls.set(peer, { queue: names, until: now, asked: [] })
      return next(now, peer)
    },
    answered: next,
    drop,
    missed(now) {
      expire(now)
      const before = missing
      missing = false
      return before
    },
    busy: () => pulls.size > 0,
    nextAt() {
      let at = Number.POSITIVE_INFINITY
      for (const { until } of pulls.values()) at = Math.min(at, until)
      return at
    },
  }
}

const isDigest = (name: NodeId | Digest): name is Digest => name.length === 64
