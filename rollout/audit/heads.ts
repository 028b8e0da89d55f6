import { type AuditTail, type Digest, LIMITS, type Millis } from '../../protocol/index.ts'

/** A head of somebody's audit log, as it is kept. */
export interface KeptHead extends AuditTail {
  readonly epoch: number
  readonly at: Millis
  /** The AUDIT_HEAD envelope. */
  readonly bytes: Uint8Array
}

/** The heads of one node: those that fit together, oldest first, and those that contradict them. */
export interface HeadList {
  readonly heads: readonly KeptHead[]
  /** A node that signed these and `heads` has changed its log, or was restored from an old copy: each is proof. */
  readonly conflicts: readonly KeptHead[]
}

export const NO_HEADS: HeadList = { heads: [], conflicts: [] }

/** Conflicting heads that are kept: one is enough as proof, and a node that signs many must not fill disks. */
const MAX_CONFLICTS = 4

/** `news`: newer than all. `known`: this very head, or one that lies between kept ones. `conflict`: it and a kept one cannot both be true of one log. */
export type Taken = 'news' | 'known' | 'conflict'

/** Takes one more head of a node. Pure; what is given back is what is to be kept. */
export function takeHead(list: HeadList, head: KeptHead): { readonly list: HeadList; readonly taken: Taken } {
  const same = (other: KeptHead): boolean => other.seq === head.seq && other.hash === head.hash
  if (list.heads.some(same) || list.conflicts.some(same)) return { list, taken: 'known' }
  if (list.heads.some(other => contradict(other, head))) {
    const conflicts = [...list.conflicts, head].slice(0, MAX_CONFLICTS)
    return { list: { ...list, conflicts }, taken: 'conflict' }
  }
  const newest = list.heads.at(-1)
  if (newest !== undefined && head.seq < newest.seq) return { list, taken: 'known' }
  return { list: { ...list, heads: thin([...list.heads, head]) }, taken: 'news' }
}

/** One log cannot have had two entries of one number, and none is shorter in a later start than it was in an earlier one. */
function contradict(a: Omit<KeptHead, 'bytes'>, b: Omit<KeptHead, 'bytes'>): boolean {
  if (a.seq === b.seq) return a.hash !== b.hash
  const [earlier, later] = a.epoch <= b.epoch ? [a, b] : [b, a]
  return earlier.epoch < later.epoch && earlier.seq > later.seq
}

/**
 * Drops one of too many. The oldest and the newest stay; between them the one goes whose neighbours are closest together for how far back they
 * lie, so that what is kept lies the denser the nearer it is to the end, and a rewriting of any age contradicts one.
 */
function thin(heads: readonly KeptHead[]): readonly KeptHead[] {
  if (heads.length <= LIMITS.auditHeads) return heads
  const newest = heads.at(-1)!.seq
  let drop = 1
  let closest = Number.POSITIVE_INFINITY
  for (let at = 1; at < heads.length - 1; at++) {
    const gap = (heads[at + 1]!.seq - heads[at - 1]!.seq) / (newest - heads[at - 1]!.seq + 1)
    if (gap < closest) {
      closest = gap
      drop = at
    }
  }
  return heads.filter((_, at) => at !== drop)
}

/** All that is kept of a node, to compare its log with. */
export const allHeads = (list: HeadList): { seq: number; hash: Digest; at: Millis }[] =>
  [...list.heads, ...list.conflicts].map(({ seq, hash, at }) => ({ seq, hash, at }))
