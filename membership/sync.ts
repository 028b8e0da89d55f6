import type { Digest, NodeId } from '../protocol/index.ts'
import { BUCKETS, type Frame, type GossipKind, type Key } from './frames.ts'
import type { Member, Table } from './table.ts'

/** What one frame carries at most, so that a link is never busy for long. Well under LIMITS.linkFrame with the framing. */
const FRAME_BYTES = 128 * 1024
const KEYS_PER_FRAME = 1_000

/** Frames of anti-entropy: digests by bucket, then the keys of those that differ, then what either lacks (DESIGN §4). Its cost is in proportion to the difference. */
export const digestFrame = (table: Table): Frame => ({ type: 'digest', digests: table.digests() })

/** The answer to a neighbour's digests: our keys where they differ. None where they agree. */
export function keysFor(table: Table, digests: readonly number[]): Frame[] {
  const ours = table.digests()
  const differing = Array.from({ length: BUCKETS }, (_, bucket) => bucket).filter(
    bucket => ours[2 * bucket] !== digests[2 * bucket] || ours[2 * bucket + 1] !== digests[2 * bucket + 1],
  )
  const frames: Frame[] = []
  let buckets: number[] = []
  let members: Key[] = []
  let documents: Digest[] = []
  for (const bucket of differing) {
    const keys = table.keys([bucket])
    buckets.push(bucket)
    members.push(...keys.members)
    documents.push(...keys.documents)
    if (members.length + documents.length >= KEYS_PER_FRAME) {
      frames.push({ type: 'keys', buckets, members, documents })
      buckets = []
      members = []
      documents = []
    }
  }
  if (buckets.length > 0) frames.push({ type: 'keys', buckets, members, documents })
  return frames
}

/** What we have and they lack, and what they have and we lack. */
export function compare(
  table: Table,
  theirs: Extract<Frame, { type: 'keys' }>,
): { give: { members: NodeId[]; documents: Digest[] }; want: { members: NodeId[]; documents: Digest[] } } {
  const ours = table.keys(theirs.buckets)
  const theirMembers = new Map(theirs.members.map(key => [key.node, key]))
  const ourMembers = new Map(ours.members.map(key => [key.node, key]))
  const theirDocuments = new Set(theirs.documents)
  const ourDocuments = new Set(ours.documents)
  return {
    give: {
      members: ours.members.filter(key => lacks(theirMembers.get(key.node), key)).map(key => key.node),
      documents: ours.documents.filter(id => !theirDocuments.has(id)),
    },
    want: {
      members: theirs.members.filter(key => lacks(ourMembers.get(key.node), key)).map(key => key.node),
      documents: theirs.documents.filter(id => !ourDocuments.has(id)),
    },
  }
}

const newer = (a: readonly [number, number] | null, b: readonly [number, number] | null): boolean =>
  a !== null && (b === null || a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]))

/** True when `key` has something that whoever has `known` does not. */
function lacks(known: Key | undefined, key: Key): boolean {
  if (known === undefined || newer(key.record, known.record) || newer(key.vitals, known.vitals)) return true
  const same = known.record[0] === key.record[0] && known.record[1] === key.record[1]
  return same && key.suspectedBy.some(observer => !known.suspectedBy.includes(observer))
}

/** The statements about these members, and these documents, in frames of bounded size. Records go first: the rest hangs on them. */
export function itemFrames(table: Table, members: readonly NodeId[], documents: readonly Digest[]): Frame[] {
  const frames: Frame[] = []
  let items: (readonly [GossipKind, Uint8Array])[] = []
  let size = 0
  const add = (kind: GossipKind, bytes: Uint8Array): void => {
    if (size > 0 && size + bytes.byteLength > FRAME_BYTES) {
      frames.push({ type: 'items', items })
      items = []
      size = 0
    }
    items.push([kind, bytes])
    size += bytes.byteLength
  }
  // Documents carry revocations, and those decide whose records count.
  for (const id of documents) {
    const document = table.documents.get(id)
    if (document !== undefined) add('document', document.bytes)
  }
  for (const node of members) {
    const member = table.members.get(node)
    if (member !== undefined) for (const [kind, bytes] of statementsOf(member)) add(kind, bytes)
  }
  if (items.length > 0) frames.push({ type: 'items', items })
  return frames
}

export function statementsOf(member: Member): (readonly [GossipKind, Uint8Array])[] {
  const statements: (readonly [GossipKind, Uint8Array])[] = [['record', member.record.bytes]]
  if (member.vitals !== undefined) statements.push(['vitals', member.vitals.bytes])
  for (const suspicion of member.suspicions.values()) statements.push(['suspicion', suspicion.bytes])
  return statements
}
