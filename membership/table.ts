import type { Digest, Dismissal, NodeId, NodeRecord, Statement, Suspicion, Vitals } from '../protocol/index.ts'
import type { Atlas, Seat } from './atlas.ts'
import { voids, withDismissal } from './dismissals.ts'
import { strength } from './evidence.ts'
import { BUCKETS, type Key, type Rank } from './frames.ts'

/** What a full table refuses. Bounds what a hostile member can make all others keep. */
export const MAX_MEMBERS = 20_000
const MAX_DOCUMENTS = 20_000
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
/** Suspicions kept of one subject: K rings of 2K predecessors, and some. Past it those of the smallest observer ids stay. */
const MAX_SUSPICIONS = 64
/** Statements about nodes whose record has not come yet are kept for this many. */
const MAX_ORPHANS = 1_024

/** All that was said of one member. A value: what is said later makes another one. */
export interface Entry {
  readonly node: NodeId
  readonly record: Statement<NodeRecord>
  readonly vitals: Statement<Vitals> | undefined
  /** By observer, none older than the record; those against this very version count. */
  readonly suspicions: ReadonlyMap<NodeId, Statement<Suspicion>>
  /** Of each version one at most, none older than the record; the one of this very version counts. */
  readonly dismissals: readonly Statement<Dismissal>[]
  /** Exclusive or of the first two 32-bit words of their ids: what the entry adds to the digest of its bucket. */
  readonly sum: readonly [number, number]
}

/** The entries by node. */
export interface Entries {
  readonly size: number
  get(node: NodeId): Entry | undefined
  at(slot: number): Entry | undefined
  values(): IterableIterator<Entry>
}

/**
 * The statements that this node holds, as a join-semilattice: of each node the newest record and vitals, of each
 * observer its newest word on each subject, of each version of a record its dismissal. Merging is commutative, associative and idempotent, so members that
 * have seen the same statements hold the same table, whatever the order. Digests by bucket tell where two differ.
 */
export interface Table {
  readonly entries: Entries
  readonly documents: ReadonlyMap<Digest, Uint8Array>
  /** Each merge is true when it changed something that is held. */
  mergeRecord(statement: Statement<NodeRecord>): boolean
  mergeVitals(statement: Statement<Vitals>): boolean
  mergeSuspicion(statement: Statement<Suspicion>, observer: NodeId): boolean
  mergeDismissal(statement: Statement<Dismissal>): boolean
  addDocument(id: Digest, bytes: Uint8Array): boolean
  removeDocument(id: Digest): void
  remove(node: NodeId): void
  /** Takes back all that an observer has said of others. Gives the subjects. */
  dropSuspicionsBy(observer: NodeId): NodeId[]
  /** Two 32-bit numbers a bucket: the exclusive or of the ids of the statements in it. */
  digests(): readonly number[]
  /** What is held in a bucket. */
  keys(bucket: number): { members: Key[]; documents: Digest[] }
  key(node: NodeId): Key | undefined
  stats(): { documents: number; documentBytes: number; orphans: number }
  /** Begins with the entries of another that shares the atlas. */
  copy(other: Table): void
}

/** Orders records of one node: by epoch; within one, having left is final; then by seq, and at last by id, so that all settle on the same of two that claim one version. */
export function compareRecords(a: Statement<NodeRecord>, b: Statement<NodeRecord>): number {
  return (
    a.body.epoch - b.body.epoch ||
    Number(a.body.presence === 'left') - Number(b.body.presence === 'left') ||
    a.body.seq - b.body.seq ||
    compareIds(a.id, b.id)
  )
}

export function compareVitals(a: Statement<Vitals>, b: Statement<Vitals>): number {
  return a.body.epoch - b.body.epoch || a.body.seq - b.body.seq || compareIds(a.id, b.id)
}

/** Orders what one observer says of one subject: by the subject's version, then by how strong the evidence is. */
export function compareSuspicions(a: Statement<Suspicion>, b: Statement<Suspicion>): number {
  return (
    a.body.epoch - b.body.epoch ||
    a.body.seq - b.body.seq ||
    strength(a.body.evidence) - strength(b.body.evidence) ||
    compareIds(a.id, b.id)
  )
}

/** True when the record refutes the suspicion: its author said something since. */
export function refutes(record: Statement<NodeRecord>, { body }: Statement<Suspicion>): boolean {
  const { epoch, seq, presence } = record.body
  return body.epoch < epoch || (body.epoch === epoch && (presence === 'left' || body.seq < seq))
}

/** True for a suspicion of exactly the version that is known; one of a newer version waits for that. */
export const counts = (record: Statement<NodeRecord>, { body }: Statement<Suspicion>): boolean =>
  body.epoch === record.body.epoch && body.seq === record.body.seq && record.body.presence === 'here'

const compareIds = (a: Digest, b: Digest): number => (a < b ? -1 : a > b ? 1 : 0)

/** True while somebody's suspicion of the version that is known is held. */
export function isSuspected({ record, suspicions }: Entry): boolean {
  if (suspicions.size > 0) for (const suspicion of suspicions.values()) if (counts(record, suspicion)) return true
  return false
}

/** What is held of a member, or of one whose record has not come yet, besides the record. */
type Besides = Pick<Entry, 'vitals' | 'suspicions' | 'dismissals'>

const NOTHING: Besides = { vitals: undefined, suspicions: new Map(), dismissals: [] }

export function createTable(atlas: Atlas): Table {
  /** By slot. */
  let held: (Entry | undefined)[] = []
  let size = 0
  const orphans = new Map<NodeId, Besides>()
  const documents = new Map<Digest, Uint8Array>()
  let sums = new Int32Array(2 * BUCKETS)
  const documentsIn: (Set<Digest> | undefined)[] = []
  let documentBytes = 0
  let digests: readonly number[] | undefined

  const at = (node: NodeId): Entry | undefined => {
    const seat = atlas.seatOf(node)
    return seat === undefined ? undefined : held[seat.slot]
  }
  const entries: Entries = {
    get size() {
      return size
    },
    get: at,
    at: slot => held[slot],
    *values() {
      for (const entry of held) if (entry !== undefined) yield entry
    },
  }
  /** Puts it into the sum of its bucket, or takes it out: that is the same. */
  const toggle = (bucket: number, [first, second]: readonly [number, number]): void => {
    sums[2 * bucket]! ^= first
    sums[2 * bucket + 1]! ^= second
    digests = undefined
  }
  const put = ({ slot, bucket }: Seat, entry: Entry): void => {
    const before = held[slot]
    if (before !== undefined) toggle(bucket, before.sum)
    toggle(bucket, entry.sum)
    while (held.length < slot) held.push(undefined)
    held[slot] = entry
  }
  /** Keeps what was said of a node whose record has not come yet. */
  const orphan = (node: NodeId, change: (known: Besides) => Partial<Besides>): void => {
    const known = orphans.get(node) ?? NOTHING
    orphans.set(node, { ...known, ...change(known) })
    if (orphans.size > MAX_ORPHANS) orphans.delete(orphans.keys().next().value!)
  }

  const bucketed = (id: Digest): Set<Digest> => {
    documentsIn[documentBucket(id)] ??= new Set()
    return documentsIn[documentBucket(id)]!
  }

  const table: Table = {
    entries,
    documents,

    mergeRecord(statement) {
      const { node } = statement.body
      const known = at(node)
      if (known !== undefined) {
        if (compareRecords(statement, known.record) <= 0) return false
        put(
          atlas.seatOf(node)!,
          atlas.derived(known, statement, () => entryOf(statement, known)),
        )
        return true
      }
      if (size >= MAX_MEMBERS) return false
      const orphaned = orphans.get(node)
      orphans.delete(node)
      const seat = atlas.hold(node)
      const first = (): Entry => entryOf(statement, orphaned ?? NOTHING)
      put(seat, orphaned === undefined ? atlas.derived(seat, statement, first) : first())
      size += 1
      return true
    },

    mergeVitals(statement) {
      const { node } = statement.body
      const known = at(node)
      if (known === undefined) {
        orphan(node, ({ vitals }) => ({
          vitals: vitals === undefined || compareVitals(statement, vitals) > 0 ? statement : vitals,
        }))
        return false
      }
      if (known.vitals !== undefined && compareVitals(statement, known.vitals) <= 0) return false
      put(
        atlas.seatOf(node)!,
        atlas.derived(known, statement, () => entryOf(known.record, { ...known, vitals: statement })),
      )
      return true
    },

    mergeSuspicion(statement, observer) {
      const { subject } = statement.body
      const known = at(subject)
      if (known === undefined) {
        orphan(subject, ({ suspicions }) => ({ suspicions: withSuspicion(suspicions, observer, statement) }))
        return false
      }
      if (refutes(known.record, statement)) return false
      const entry = atlas.derived(known, statement, () => {
        const suspicions = withSuspicion(known.suspicions, observer, statement)
        return suspicions === known.suspicions ? known : entryOf(known.record, { ...known, suspicions })
      })
      if (entry === known) return false
      put(atlas.seatOf(subject)!, entry)
      return true
    },

    mergeDismissal(statement) {
      const { subject } = statement.body
      const known = at(subject)
      if (known === undefined) {
        orphan(subject, ({ dismissals }) => ({ dismissals: withDismissal(dismissals, statement) }))
        return false
      }
      if (voids(known.record, statement)) return false
      const entry = atlas.derived(known, statement, () => {
        const dismissals = withDismissal(known.dismissals, statement)
        return dismissals === known.dismissals ? known : entryOf(known.record, { ...known, dismissals })
      })
      if (entry === known) return false
      put(atlas.seatOf(subject)!, entry)
      return true
    },

    addDocument(id, bytes) {
      if (documents.has(id)) return false
      if (documents.size >= MAX_DOCUMENTS || documentBytes + bytes.byteLength > MAX_DOCUMENT_BYTES) return false
      documents.set(id, bytes)
      documentBytes += bytes.byteLength
      bucketed(id).add(id)
      toggle(documentBucket(id), sumOf(id))
      return true
    },
    removeDocument(id) {
      const bytes = documents.get(id)
      if (bytes === undefined) return
      documents.delete(id)
      documentBytes -= bytes.byteLength
      bucketed(id).delete(id)
      toggle(documentBucket(id), sumOf(id))
    },
    remove(node) {
      orphans.delete(node)
      const seat = atlas.seatOf(node)
      const entry = seat === undefined ? undefined : held[seat.slot]
      if (seat === undefined || entry === undefined) return
      toggle(seat.bucket, entry.sum)
      held[seat.slot] = undefined
      size -= 1
      atlas.release(seat)
    },

    dropSuspicionsBy(observer) {
      for (const [node, known] of orphans)
        if (known.suspicions.has(observer))
          orphans.set(node, { ...known, suspicions: without(known.suspicions, observer) })
      const subjects: NodeId[] = []
      for (const known of entries.values()) {
        if (!known.suspicions.has(observer)) continue
        put(
          atlas.seatOf(known.node)!,
          entryOf(known.record, { ...known, suspicions: without(known.suspicions, observer) }),
        )
        subjects.push(known.node)
      }
      return subjects
    },

    digests() {
      digests ??= [...sums]
      return digests
    },
    keys(bucket) {
      const members: Key[] = []
      for (const { slot } of atlas.buckets[bucket]!) {
        const entry = held[slot]
        if (entry !== undefined) members.push(keyOf(entry))
      }
      return { members, documents: [...(documentsIn[bucket] ?? [])] }
    },
    key(node) {
      const entry = at(node)
      return entry === undefined ? undefined : keyOf(entry)
    },
    stats: () => ({ documents: documents.size, documentBytes, orphans: orphans.size }),
    copy(other) {
      held = atlas.seats.map((_, slot) => other.entries.at(slot))
      size = other.entries.size
      sums = Int32Array.from(other.digests())
      digests = other.digests()
    },
  }
  return table
}

/** With one more; the same when it says nothing new. */
function withSuspicion(
  suspicions: ReadonlyMap<NodeId, Statement<Suspicion>>,
  observer: NodeId,
  statement: Statement<Suspicion>,
): ReadonlyMap<NodeId, Statement<Suspicion>> {
  const known = suspicions.get(observer)
  if (known !== undefined && compareSuspicions(statement, known) <= 0) return suspicions
  const more = new Map(suspicions).set(observer, statement)
  if (more.size <= MAX_SUSPICIONS) return more
  const last = [...more.keys()].sort().at(-1)!
  if (last === observer) return suspicions
  more.delete(last)
  return more
}

const without = (suspicions: Entry['suspicions'], observer: NodeId): Entry['suspicions'] =>
  new Map([...suspicions].filter(([by]) => by !== observer))

/** Without the suspicions that the record refutes, and the dismissals that it voids. */
function entryOf(record: Statement<NodeRecord>, { vitals, ...held }: Besides): Entry {
  let { suspicions, dismissals } = held
  if (suspicions.size > 0) suspicions = new Map([...suspicions].filter(([, suspicion]) => !refutes(record, suspicion)))
  if (dismissals.length > 0) dismissals = dismissals.filter(dismissal => !voids(record, dismissal))
  const sum: [number, number] = [0, 0]
  for (const each of [record, vitals, ...suspicions.values(), ...dismissals]) {
    if (each === undefined) continue
    const [first, second] = sumOf(each.id)
    sum[0] ^= first
    sum[1] ^= second
  }
  return {
    node: record.body.node,
    record,
    vitals,
    suspicions: suspicions.size === 0 ? NOTHING.suspicions : suspicions,
    dismissals: dismissals.length === 0 ? NOTHING.dismissals : dismissals,
    sum,
  }
}
const sumOf = (id: Digest): readonly [number, number] => [word(id, 0), word(id, 1)]

/** Asked for in every sync, and an entry never changes. */
const keyOf = (entry: Entry): Key => {
  let key = keysMade.get(entry)
  if (key === undefined) {
    key = makeKey(entry)
    keysMade.set(entry, key)
  }
  return key
}
const keysMade = new WeakMap<Entry, Key>()
const makeKey = ({ node, record, vitals, suspicions, dismissals }: Entry): Key => ({
  node,
  record: rankOf(record),
  vitals: vitals === undefined ? null : rankOf(vitals),
  claims:
    suspicions.size + dismissals.length === 0
      ? NO_IDS
      : [...suspicions.values(), ...dismissals].map(({ id }) => word(id, 0) >>> 0),
})
const NO_IDS: readonly number[] = []
const rankOf = (statement: Statement<NodeRecord | Vitals>): Rank => [
  statement.body.epoch,
  'presence' in statement.body && statement.body.presence === 'left' ? 1 : 0,
  statement.body.seq,
  word(statement.id, 0) >>> 0,
]

/** The nth 32-bit word of a SHA-256, signed as bit operations have it. */
const word = (id: Digest, index: number): number => Number.parseInt(id.slice(8 * index, 8 * index + 8), 16) | 0
const documentBucket = (id: Digest): number => Number.parseInt(id.slice(-2), 16) % BUCKETS
