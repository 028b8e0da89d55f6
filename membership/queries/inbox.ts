import {
  type Answer,
  type Digest,
  LIMITS,
  type Millis,
  type NodeId,
  type Query,
  type Statement,
} from '../../protocol/index.ts'
import { type Bucket, createBucket } from '../bucket.ts'

/** Queries of one author that are told apart when they come out of order; what is older counts as seen. */
const WINDOW = 512
/** Authors that are remembered: as many as there can be members. */
const MAX_AUTHORS = 20_000
/** Queries that are open at once. The one that ends first makes room. */
const MAX_OPEN = 4_096
/** What one author may ask of everybody: units a second and in one go. A query costs one, and one more for each 8 KiB. */
const ALLOWANCE = { perSecond: 20, burst: 200 }
const UNIT_BYTES = 8 * 1024
/** Answers that are passed along the overlay for one query, because those who gave them could not reach the asker. */
const MAX_RELAYED = 512
const MAX_RELAYED_BYTES = 1024 * 1024

/** `take`: it is new and counts. Everything else is dropped: it came before, it is over, or its author asks too much. */
export type Verdict = 'take' | 'seen' | 'late' | 'too-often'

/** What this node was asked. */
export interface Inbox {
  /** Takes a query once. */
  hear(now: Millis, query: Statement<Query>): Verdict
  /** After it nobody waits any more; undefined for a query that is not known or over. */
  deadline(now: Millis, query: Digest): Millis | undefined
  /** Whether this node may say this now: one ack and one response, in time. It counts as said. */
  say(now: Millis, query: Digest, type: Answer['type']): 'go' | 'twice' | 'late'
  /** Whether somebody else's answer, which came along the overlay, is to be passed on. */
  relay(now: Millis, answer: Statement<Answer>): boolean
  /** The Lamport time of queries: above that of every query heard. */
  ltime(): number
}

interface Author {
  epoch: number
  top: number
  readonly seen: Set<number>
  readonly allowance: Bucket
}

interface Open {
  readonly deadline: Millis
  readonly said: Set<Answer['type']>
  readonly relayed: Set<string>
  relayedBytes: number
}

/** How much further than ours a stranger's Lamport time may push it in one go: it must not be able to use the numbers up. */
const MAX_LEAP = 2 ** 20

/**
 * `start`: when this life began. What was asked before may have been answered by the life before, so it is not answered again: an
 * answer is given at most once, also where somebody replays the query after a restart.
 */
export function createInbox(start: Millis): Inbox {
  const authors = new Map<NodeId, Author>()
  const open = new Map<Digest, Open>()
  let ltime = 0

  const authorOf = (node: NodeId, epoch: number): Author => {
    let author = authors.get(node)
    if (author === undefined) {
      author = {
        epoch,
        top: 0,
        seen: new Set(),
        allowance: createBucket(ALLOWANCE.perSecond, ALLOWANCE.burst),
      }
      authors.set(node, author)
      if (authors.size > MAX_AUTHORS) authors.delete(authors.keys().next().value!)
    }
    return author
  }
  const isNew = (author: Author, { epoch, seq }: Query): boolean => {
    if (epoch !== author.epoch) return epoch > author.epoch
    return seq > author.top - WINDOW && !author.seen.has(seq)
  }
  const note = (author: Author, { epoch, seq }: Query): void => {
    if (epoch > author.epoch) {
      author.epoch = epoch
      author.top = 0
      author.seen.clear()
    }
    author.seen.add(seq)
    if (seq <= author.top) return
    author.top = seq
    for (const each of author.seen) if (each <= seq - WINDOW) author.seen.delete(each)
  }
  const makeRoom = (now: Millis): void => {
    if (open.size < MAX_OPEN) return
    let first: Digest | undefined
    for (const [id, { deadline }] of open) {
      if (deadline < now) open.delete(id)
      else if (first === undefined || deadline < open.get(first)!.deadline) first = id
    }
    if (open.size >= MAX_OPEN && first !== undefined) open.delete(first)
  }
  const current = (now: Millis, query: Digest): Open | undefined => {
    const known = open.get(query)
    return known !== undefined && now <= known.deadline ? known : undefined
  }

  return {
    hear(now, query) {
      const { body, clock, id, bytes } = query
      if (clock < start || now > clock + body.timeoutMs + LIMITS.clockSkew) return 'late'
      const author = authorOf(body.node, body.epoch)
      if (!isNew(author, body)) return 'seen'
      if (!author.allowance.take(now, 1 + Math.floor(bytes.byteLength / UNIT_BYTES))) return 'too-often'
      note(author, body)
      ltime = Math.max(ltime, Math.min(body.ltime, ltime + MAX_LEAP))
      makeRoom(now)
      const deadline = (now + body.timeoutMs) as Millis
      open.set(id, { deadline, said: new Set(), relayed: new Set(), relayedBytes: 0 })
      return 'take'
    },
    deadline: (now, query) => current(now, query)?.deadline,
    say(now, query, type) {
      const known = current(now, query)
      if (known === undefined) return 'late'
      if (known.said.has(type)) return 'twice'
      known.said.add(type)
      return 'go'
    },
    relay(now, { body, bytes }) {
      const known = current(now, body.query)
      const key = `${body.type} ${body.node}`
      if (known === undefined || known.relayed.has(key) || known.relayed.size >= MAX_RELAYED) return false
      if (known.relayedBytes + bytes.byteLength > MAX_RELAYED_BYTES) return false
      known.relayed.add(key)
      known.relayedBytes += bytes.byteLength
      return true
    },
    ltime: () => ltime,
  }
}
