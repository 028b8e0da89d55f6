import type { Digest, Dismissal, NodeId, NodeRecord, Statement, Suspicion, Vitals } from '../protocol/index.ts'
import { sha256 } from '../protocol/index.ts'
import { voids, withDismissal } from './dismissals.ts'
import { BUCKETS, type Key, type Rank } from './frames.ts'

/** What a full table refuses. Bounds what a hostile member can make all others keep. */
export const MAX_MEMBERS = 20_000
const MAX_DOCUMENTS = 20_000
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
/** Suspicions kept of one subject: K rings of 2K predecessors, and some. Past it those of the smallest observer ids stay. */
const MAX_SUSPICIONS = 64
/** Statements about nodes whose record has not come yet are kept for this many. */
const MAX_ORPHANS = 1_024

/** All that was said of one member. */
export interface Entry {
  readonly node: NodeId
  readonly record: Statement<NodeRecord>
  readonly vitals: Statement<Vitals> | undefined
  /** By observer, none older than the record; those against this very version count. */
  readonly suspicions: ReadonlyMap<NodeId, Statement<Suspicion>>
  /** Of each version one at most, none older than the record; the one of this very version counts. */
  readonly dismissals: readonly Statement<Dismissal>[]
  readonly bucket: number
}

/**
 * The statements that this node holds, as a join-semilattice: of each node the newest record and vitals, of each
 * observer its newest word on each subject, of each version of a record its dismissal. Merging is commutative, associative and idempotent, so members that
 * have seen the same statements hold the same table, whatever the order. Digests by bucket tell where two differ.
 */
export interface Table {
  readonly entries: ReadonlyMap<NodeId, Entry>
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
    Number(a.body.evidence === 'refused') - Number(b.body.evidence === 'refused') ||
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

interface Held {
  record: Statement<NodeRecord> | undefined
  vitals: Statement<Vitals> | undefined
  suspicions: Map<NodeId, Statement<Suspicion>>
  dismissals: readonly Statement<Dismissal>[]
}
type Mutable<T> = { -readonly [K in keyof T]: T[K] }
type MutableEntry = Mutable<Entry> & { suspicions: Map<NodeId, Statement<Suspicion>> }

export function createTable(): Table {
  const entries = new Map<NodeId, MutableEntry>()
  const orphans = new Map<NodeId, Held>()
  const documents = new Map<Digest, Uint8Array>()
  const sums = new Int32Array(2 * BUCKETS)
  const membersIn: Set<NodeId>[] = Array.from({ length: BUCKETS }, () => new Set())
  const documentsIn: Set<Digest>[] = Array.from({ length: BUCKETS }, () => new Set())
  let documentBytes = 0
  let digests: readonly number[] | undefined

  /** Puts a statement into the sum of its bucket, or takes it out: that is the same. */
  const toggle = (bucket: number, id: Digest | undefined): void => {
    if (id === undefined) return
    sums[2 * bucket] = sums[2 * bucket]! ^ word(id, 0)
    sums[2 * bucket + 1] = sums[2 * bucket + 1]! ^ word(id, 1)
    digests = undefined
  }
  const orphan = (node: NodeId): Held => {
    let held = orphans.get(node)
    if (held === undefined) {
      held = { record: undefined, vitals: undefined, suspicions: new Map(), dismissals: [] }
      orphans.set(node, held)
      if (orphans.size > MAX_ORPHANS) orphans.delete(orphans.keys().next().value!)
    }
    return held
  }
  const putSuspicion = (
    suspicions: Map<NodeId, Statement<Suspicion>>,
    observer: NodeId,
    statement: Statement<Suspicion>,
  ): { added: boolean; dropped: Statement<Suspicion> | undefined } => {
    const known = suspicions.get(observer)
    if (known !== undefined && compareSuspicions(statement, known) <= 0) return { added: false, dropped: undefined }
    suspicions.set(observer, statement)
    if (known !== undefined || suspicions.size <= MAX_SUSPICIONS) return { added: true, dropped: known }
    const last = [...suspicions.keys()].sort().at(-1)!
    const dropped = suspicions.get(last)!
    suspicions.delete(last)
    return { added: last !== observer, dropped: last === observer ? undefined : dropped }
  }
  /** Puts others in the place of the dismissals that are held of a member. */
  const putDismissals = (entry: MutableEntry, dismissals: readonly Statement<Dismissal>[]): void => {
    for (const each of [...entry.dismissals, ...dismissals]) toggle(entry.bucket, each.id)
    entry.dismissals = dismissals
  }
  const dropRefuted = (entry: MutableEntry): void => {
    putDismissals(
      entry,
      entry.dismissals.filter(each => !voids(entry.record, each)),
    )
    for (const [observer, suspicion] of entry.suspicions) {
      if (!refutes(entry.record, suspicion)) continue
      entry.suspicions.delete(observer)
      toggle(entry.bucket, suspicion.id)
    }
  }
  const keyOf = ({ node, record, vitals, suspicions, dismissals }: MutableEntry): Key => ({
    node,
    record: rankOf(record),
    vitals: vitals === undefined ? null : rankOf(vitals),
    claims: [...suspicions.values(), ...dismissals].map(({ id }) => word(id, 0) >>> 0),
  })

  const table: Table = {
    entries,
    documents,

    mergeRecord(statement) {
      const { node } = statement.body
      const known = entries.get(node)
      if (known !== undefined) {
        if (compareRecords(statement, known.record) <= 0) return false
        toggle(known.bucket, known.record.id)
        known.record = statement
        toggle(known.bucket, statement.id)
        dropRefuted(known)
        return true
      }
      if (entries.size >= MAX_MEMBERS) return false
      const held = orphans.get(node)
      orphans.delete(node)
      const entry: MutableEntry = {
        node,
        record: statement,
        vitals: held?.vitals,
        suspicions: held?.suspicions ?? new Map(),
        dismissals: held?.dismissals ?? [],
        bucket: bucketOf(node),
      }
      entries.set(node, entry)
      membersIn[entry.bucket]!.add(node)
      for (const id of idsOf(entry)) toggle(entry.bucket, id)
      dropRefuted(entry)
      return true
    },

    mergeVitals(statement) {
      const entry = entries.get(statement.body.node)
      const held = entry ?? orphan(statement.body.node)
      if (held.vitals !== undefined && compareVitals(statement, held.vitals) <= 0) return false
      if (entry !== undefined) {
        toggle(entry.bucket, entry.vitals?.id)
        toggle(entry.bucket, statement.id)
      }
      held.vitals = statement
      return entry !== undefined
    },

    mergeSuspicion(statement, observer) {
      const entry = entries.get(statement.body.subject)
      if (entry !== undefined && refutes(entry.record, statement)) return false
      const { suspicions } = entry ?? orphan(statement.body.subject)
      const { added, dropped } = putSuspicion(suspicions, observer, statement)
      if (entry === undefined || !added) return false
      toggle(entry.bucket, dropped?.id)
      toggle(entry.bucket, statement.id)
      return true
    },

    mergeDismissal(statement) {
      const entry = entries.get(statement.body.subject)
      if (entry !== undefined && voids(entry.record, statement)) return false
      const held = entry ?? orphan(statement.body.subject)
      const dismissals = withDismissal(held.dismissals, statement)
      if (dismissals === held.dismissals) return false
      if (entry === undefined) held.dismissals = dismissals
      else putDismissals(entry, dismissals)
      return entry !== undefined
    },

    addDocument(id, bytes) {
      if (documents.has(id)) return false
      if (documents.size >= MAX_DOCUMENTS || documentBytes + bytes.byteLength > MAX_DOCUMENT_BYTES) return false
      documents.set(id, bytes)
      documentBytes += bytes.byteLength
      documentsIn[documentBucket(id)]!.add(id)
      toggle(documentBucket(id), id)
      return true
    },
    removeDocument(id) {
      const bytes = documents.get(id)
      if (bytes === undefined) return
      documents.delete(id)
      documentBytes -= bytes.byteLength
      documentsIn[documentBucket(id)]!.delete(id)
      toggle(documentBucket(id), id)
    },
    remove(node) {
      orphans.delete(node)
      const entry = entries.get(node)
      if (entry === undefined) return
      for (const id of idsOf(entry)) toggle(entry.bucket, id)
      membersIn[entry.bucket]!.delete(node)
      entries.delete(node)
    },

    dropSuspicionsBy(observer) {
      for (const { suspicions } of orphans.values()) suspicions.delete(observer)
      const subjects: NodeId[] = []
      for (const entry of entries.values()) {
        const suspicion = entry.suspicions.get(observer)
        if (suspicion === undefined) continue
        entry.suspicions.delete(observer)
        toggle(entry.bucket, suspicion.id)
        subjects.push(entry.node)
      }
      return subjects
    },

    digests() {
      digests ??= [...sums]
      return digests
    },
    keys: bucket => ({
      members: [...membersIn[bucket]!].map(node => keyOf(entries.get(node)!)),
      documents: [...documentsIn[bucket]!],
    }),
    key(node) {
      const entry = entries.get(node)
      return entry === undefined ? undefined : keyOf(entry)
    },
    stats: () => ({ documents: documents.size, documentBytes, orphans: orphans.size }),
  }
  return table
}

const idsOf = ({ record, vitals, suspicions, dismissals }: Entry): (Digest | undefined)[] =>
  [record, vitals, ...suspicions.values(), ...dismissals].map(each => each?.id)

const rankOf = (statement: Statement<NodeRecord | Vitals>): Rank => [
  statement.body.epoch,
  'presence' in statement.body && statement.body.presence === 'left' ? 1 : 0,
  statement.body.seq,
  word(statement.id, 0) >>> 0,
]

/** The nth 32-bit word of a SHA-256, signed as bit operations have it. */
const word = (id: Digest, index: number): number => Number.parseInt(id.slice(8 * index, 8 * index + 8), 16) | 0
const documentBucket = (id: Digest): number => Number.parseInt(id.slice(-2), 16) % BUCKETS
const bucketOf = (node: NodeId): number => documentBucket(sha256(Buffer.from(node)))
export const documentId = (bytes: Uint8Array): Digest => sha256(bytes)
