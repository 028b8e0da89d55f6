import type { Digest, Millis, NodeId } from '../ids.ts'
import { sha256 } from '../keys.ts'
import { type AuditEntry, type AuditWhat, type ReadLine, readLine, sealEntry } from './entry.ts'

/** The newest entry of a log; seq 0 stands for a log without any. */
export interface AuditTail {
  readonly seq: number
  readonly hash: Digest
}

/** What the first entry of a node's log hangs from, so that the log of one node does not pass for that of another. */
export const auditGenesis = (node: NodeId): Digest => sha256(Buffer.from(`fleetd/audit/1\n${node}`))

/** The line that comes next behind `tail`, and the tail that it makes. Text that is too long is cut: an entry is never refused for it. */
export function nextEntry(tail: AuditTail, at: Millis, what: AuditWhat): { line: string; tail: AuditTail } {
  const entry: AuditEntry = {
    seq: tail.seq + 1,
    at,
    kind: what.kind,
    subject: what.subject.slice(0, 256),
    by: what.by.slice(0, 512),
    text: what.text.slice(0, 1024),
    detail: Object.fromEntries(
      Object.entries(what.detail)
        .slice(0, 16)
        .map(([key, value]) => [key.slice(0, 32), value.slice(0, 512)]),
    ),
    previous: tail.hash,
  }
  const { line, hash } = sealEntry(entry)
  return { line, tail: { seq: entry.seq, hash } }
}

/** What is wrong with a log, and at which entry. */
export interface AuditProblem {
  readonly entry: number
  readonly problem: string
}

/** What a node once signed of its log: that entry `seq` has this hash. */
export interface SignedHead extends AuditTail {
  readonly at: Millis
}

export interface AuditReport {
  /** The oldest and the newest entry that is there; 0 when there is none. */
  readonly first: number
  readonly last: number
  /** Whole entries. */
  readonly entries: number
  /** Signed heads that were compared with the log. */
  readonly heads: number
  /** In the order in which they were found; the first ones when there are many. */
  readonly problems: readonly AuditProblem[]
}

/** Examines a log line by line. */
export interface AuditCheck {
  take(line: string): ReadLine
  end(): AuditReport
}

/** More problems than this say no more. */
const MAX_PROBLEMS = 64

/**
 * Checks that a log is the one that its node wrote: every entry is what was hashed, follows from the one before, and is the one that
 * the node signed wherever somebody has kept a signed head. So a byte that was changed is named by its entry, and entries that were
 * taken out, put in another order, cut off the end or written anew are found: the chain alone shows what happened within it, and the heads
 * show whether it is the same chain. Entries that are missing at the beginning must have been let go by an entry of kind `log-trimmed`.
 */
export function createAuditCheck(node: NodeId, heads: readonly SignedHead[]): AuditCheck {
  const problems: AuditProblem[] = []
  const signed = new Map<number, SignedHead[]>()
  for (const head of heads) signed.set(head.seq, [...(signed.get(head.seq) ?? []), head])
  let first: AuditEntry | undefined
  let last: AuditEntry | undefined
  let entries = 0
  let compared = 0
  /** Lines since the last whole entry that are none, by what they hash to. */
  let broken: ReadLine[] = []
  /** The hash of the last whole entry. */
  let tip: Digest | undefined
  const trimmed = new Map<number, string>()

  const tell = (entry: number, problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ entry, problem })
  }
  const DAMAGED = 'it is not what was written: its content does not match its hash'
  const span = (from: number, to: number): string => (from === to ? `entry ${from} is` : `entries ${from} to ${to} are`)

  /** Whether a whole entry follows from what stands before it. */
  const join = (entry: AuditEntry): void => {
    if (first === undefined && broken.length === 0) {
      if (entry.seq === 1 && entry.previous !== auditGenesis(node))
        tell(1, 'it does not begin the log of this node: it was written by another, or replaced')
      return
    }
    const expected = last === undefined ? undefined : last.seq + 1
    if (broken.length > 0) {
      const begun = Math.max(
        1,
        broken.reduce((sum, line) => sum + line.begun, 0),
      )
      const from = expected ?? Math.max(1, entry.seq - begun)
      tell(from, DAMAGED)
      if (entry.seq - from > begun) tell(from + 1, `${span(from + 1, entry.seq - 1)} missing or damaged`)
      const links = broken.at(-1)!
      if (entry.seq - from === 1 && broken.length === 1 && ![links.stated, links.actual].includes(entry.previous))
        tell(entry.seq, `it does not follow from entry ${from}`)
      return
    }
    if (expected === undefined) return
    if (entry.seq > expected) tell(expected, `${span(expected, entry.seq - 1)} missing`)
    else if (entry.seq < expected) tell(entry.seq, `it stands behind entry ${expected - 1}: out of order, or repeated`)
    else if (entry.previous !== tip)
      tell(entry.seq, `it does not follow from entry ${entry.seq - 1}: one of the two was replaced`)
  }

  return {
    take(line) {
      const read = readLine(line)
      const { entry } = read
      if (entry === undefined) {
        broken.push(read)
        return read
      }
      join(entry)
      broken = []
      for (const head of signed.get(entry.seq) ?? []) {
        compared += 1
        if (head.hash !== read.actual)
          tell(
            entry.seq,
            `it is not the entry that this node signed at ${timeOf(head.at)} (${head.hash.slice(0, 12)}): the log was rewritten`,
          )
      }
      if (entry.kind === 'log-trimmed') trimmed.set(Number(entry.detail.to), entry.detail.hash ?? '')
      entries += 1
      first ??= entry
      last = entry
      tip = read.actual
      return read
    },
    end() {
      const end = last?.seq ?? 0
      if (broken.length > 0) tell(end + 1, DAMAGED)
      if (first !== undefined && first.seq > 1 && trimmed.get(first.seq - 1) !== first.previous)
        tell(1, `${span(1, first.seq - 1)} missing, and no entry says that they were let go`)
      // The cut is told once, by the newest head that is beyond it.
      const beyond = heads.filter(head => head.seq > end).sort((a, b) => b.seq - a.seq)[0]
      if (beyond !== undefined && beyond.seq > end + broken.length)
        tell(
          end + broken.length + 1,
          `the log ends before it, and this node signed entry ${beyond.seq} at ${timeOf(beyond.at)}: its end was cut off`,
        )
      return { first: first?.seq ?? 0, last: end, entries, heads: compared, problems }
    },
  }
}

const timeOf = (at: Millis): string => new Date(at).toISOString()
