import type { Digest, Millis, NodeId, NodeRecord, Statement, Suspicion, Vitals } from '../protocol/index.ts'
import { sha256 } from '../protocol/index.ts'
import { BUCKETS, type Key } from './frames.ts'

export type Status = 'alive' | 'suspect' | 'failed' | 'left' | 'away' | 'overdue'

/** All that is known of one member. */
export interface Member {
  readonly id: NodeId
  record: Statement<NodeRecord>
  vitals: Statement<Vitals> | undefined
  /** Those against this very version of the record, by observer. A newer record refutes them all. */
  suspicions: Map<NodeId, Statement<Suspicion>>
  status: Status
  /** When it came into this status. */
  since: Millis
  /** When the first suspicion was heard; with their number it says when the member counts as failed. */
  suspectedAt: Millis
  /** When anything of it was last heard, from itself or through others. */
  heardAt: Millis
  /** Smoothed round trip of probes, milliseconds. */
  rtt: number | undefined
  bucket: number
  digest: readonly [number, number]
}

/** An opaque signed document that only ever adds to a set. */
export interface Document {
  readonly id: Digest
  readonly bytes: Uint8Array
}

/** The members and documents that this node knows, as a set that merges, with digests to compare it by. */
export interface Table {
  readonly members: ReadonlyMap<NodeId, Member>
  readonly documents: ReadonlyMap<Digest, Document>
  /** Takes a record unless what is known is as new. */
  mergeRecord(statement: Statement<NodeRecord>, now: Millis): Member | undefined
  mergeVitals(statement: Statement<Vitals>, now: Millis): Member | undefined
  /** Takes a suspicion of the version of the record that is known. */
  mergeSuspicion(statement: Statement<Suspicion>, observer: NodeId, now: Millis): Member | undefined
  addDocument(document: Document): boolean
  removeDocument(id: Digest): void
  remove(node: NodeId): void
  digests(): readonly number[]
  keys(buckets: readonly number[]): { members: Key[]; documents: Digest[] }
}

/** Orders versions; a tie between different statements of one version goes to the greater id, so that all settle on the same. */
export function compareVersions(
  a: Statement<{ epoch: number; seq: number }>,
  b: Statement<{ epoch: number; seq: number }>,
): number {
  return a.body.epoch - b.body.epoch || a.body.seq - b.body.seq || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

const bucketOf = (key: string): number => (fnv(key, 0) >>> 0) % BUCKETS

/** FNV-1a, 32 bits: enough to tell two honest sets apart, and anybody who could forge a collision could as well withhold. */
function fnv(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

export function createTable(): Table {
  const members = new Map<NodeId, Member>()
  const documents = new Map<Digest, Document>()
  const sums = new Int32Array(2 * BUCKETS)

  const toggle = (bucket: number, [a, b]: readonly [number, number]): void => {
    sums[2 * bucket] = sums[2 * bucket]! ^ a
    sums[2 * bucket + 1] = sums[2 * bucket + 1]! ^ b
  }
  const pair = (text: string): readonly [number, number] => [fnv(text, 1), fnv(text, 0x5bd1e995)]
  const refresh = (member: Member): void => {
    toggle(member.bucket, member.digest)
    const { record, vitals, suspicions } = member
    member.digest = pair(`${record.id}|${vitals?.id ?? ''}|${[...suspicions.keys()].sort().join(',')}`)
    toggle(member.bucket, member.digest)
  }

  return {
    members,
    documents,

    mergeRecord(statement, now) {
      const { node } = statement.body
      const known = members.get(node)
      if (known !== undefined && compareVersions(statement, known.record) <= 0) return undefined
      const member: Member = known ?? {
        id: node,
        record: statement,
        vitals: undefined,
        suspicions: new Map(),
        status: 'alive',
        since: now,
        suspectedAt: now,
        heardAt: now,
        rtt: undefined,
        bucket: bucketOf(node),
        digest: [0, 0],
      }
      member.record = statement
      member.suspicions = new Map()
      member.heardAt = now
      members.set(node, member)
      refresh(member)
      return member
    },

    mergeVitals(statement, now) {
      const member = members.get(statement.body.node)
      if (member === undefined || (member.vitals !== undefined && compareVersions(statement, member.vitals) <= 0))
        return undefined
      member.vitals = statement
      member.heardAt = now
      refresh(member)
      return member
    },

    mergeSuspicion(statement, observer, now) {
      const { subject, epoch, seq, evidence } = statement.body
      const member = members.get(subject)
      if (member === undefined || member.record.body.epoch !== epoch || member.record.body.seq !== seq) return undefined
      const known = member.suspicions.get(observer)
      // The same observer may only make its evidence stronger.
      if (known !== undefined && (known.body.evidence === 'refused' || evidence === 'silence')) return undefined
      if (member.suspicions.size === 0) member.suspectedAt = now
      member.suspicions.set(observer, statement)
      refresh(member)
      return member
    },

    addDocument(document) {
      if (documents.has(document.id)) return false
      documents.set(document.id, document)
      toggle(bucketOf(document.id), pair(document.id))
      return true
    },
    removeDocument(id) {
      if (documents.delete(id)) toggle(bucketOf(id), pair(id))
    },
    remove(node) {
      const member = members.get(node)
      if (member === undefined) return
      toggle(member.bucket, member.digest)
      members.delete(node)
    },

    digests: () => [...sums],
    keys(buckets) {
      const wanted = new Set(buckets)
      const keys: Key[] = []
      for (const member of members.values()) {
        if (!wanted.has(member.bucket)) continue
        const { record, vitals, suspicions } = member
        keys.push({
          node: member.id,
          record: [record.body.epoch, record.body.seq],
          vitals: vitals === undefined ? null : [vitals.body.epoch, vitals.body.seq],
          suspectedBy: [...suspicions.keys()],
        })
      }
      return { members: keys, documents: [...documents.keys()].filter(id => wanted.has(bucketOf(id))) }
    },
  }
}

export const documentId = (bytes: Uint8Array): Digest => sha256(bytes)
