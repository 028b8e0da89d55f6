import type { Logger } from 'pino'
import * as z from 'zod'
import {
  AUDIT_HEAD,
  check,
  decode,
  encode,
  FleetError,
  fields,
  LIMITS,
  type Millis,
  type NodeId,
  openAuditHead,
  toFleetError,
} from '../../protocol/index.ts'
import { type HeadList, type KeptHead, NO_HEADS, takeHead } from '../../rollout/index.ts'
import type { Network, Verdict } from '../network/index.ts'
import type { Database } from '../state/index.ts'
import { encodeEvents } from '../topic-events.ts'
import type { Trust } from '../trust/index.ts'
import type { Audit } from './audit.ts'
import { decodeNode, encodeHeads, SERVICE } from './wire.ts'

/** A node says where its log stands at most this often, and not before the entries of one moment are together. Milliseconds. */
const SAY = { every: 10_000, after: 500 }
/** New neighbours may not have heard: the newest head is said again for their sake, at most this often. Milliseconds. */
const SAY_AGAIN = 60_000
/** Heads that came in are written down together. Milliseconds. */
const WRITE_AFTER = 5_000
/** Nodes whose heads are kept. */
const MAX_NODES = 8_192
const PREFIX = 'audit-heads/'

/** Says where this node's audit log stands, and keeps what others say of theirs. */
export interface Witness {
  /** The log has grown. */
  grown(): void
  linkUp(): void
  gossip(statement: Uint8Array): Verdict
  /** The heads that are kept here of a node's log; its own for this node. */
  heads(node: NodeId): HeadList
  stop(): Promise<void>
}

export interface WitnessInit {
  readonly network: Network
  readonly trust: Pick<Trust, 'authority' | 'demand' | 'sign'>
  readonly db: Pick<Database, 'put' | 'list'>
  readonly audit: Pick<Audit, 'note' | 'tail'>
  readonly epoch: number
  readonly knows: (node: NodeId) => boolean
  readonly now: () => Millis
  readonly log: Logger
}

const storedSchema = z.tuple([
  z.array(fields.bytes(LIMITS.auditHead)).max(LIMITS.auditHeads),
  z.array(fields.bytes(LIMITS.auditHead)).max(LIMITS.auditHeads),
])

export async function createWitness(init: WitnessInit): Promise<Witness> {
  const { network, trust, db, now, log } = init
  const known = new Map<NodeId, HeadList>()
  const dirty = new Set<NodeId>()
  let saying: NodeJS.Timeout | undefined
  let saidAt = Number.NEGATIVE_INFINITY
  let saidSeq = 0
  let sayAt = 0
  let writingSoon: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  const opened = (bytes: Uint8Array): KeptHead & { node: NodeId } => {
    const { body, clock, bytes: envelope } = openAuditHead(trust.demand(), bytes, now())
    return { node: body.node, seq: body.seq, hash: body.hash, epoch: body.epoch, at: clock, bytes: envelope }
  }

  const write = (): Promise<void> => {
    writingSoon = undefined
    const nodes = [...dirty]
    dirty.clear()
    writing = writing.then(async () => {
      for (const node of nodes) {
        const { heads, conflicts } = known.get(node)!
        await db
          .put(PREFIX + node, encode([heads.map(({ bytes }) => bytes), conflicts.map(({ bytes }) => bytes)]))
          .catch(error => log.error({ err: error, node }, 'the head of an audit log could not be kept'))
      }
    })
    return writing
  }

  const take = (node: NodeId, head: KeptHead): ReturnType<typeof takeHead>['taken'] => {
    const { list, taken } = takeHead(known.get(node) ?? NO_HEADS, head)
    if (taken === 'known') return taken
    known.set(node, list)
    dirty.add(node)
    writingSoon ??= setTimeout(write, WRITE_AFTER)
    if (taken === 'conflict') {
      const text = `node ${node} signed an entry ${head.seq} of its audit log that does not fit what it signed before: its log was rewritten, or its disk was restored from an old copy`
      log.error({ node, entry: head.seq }, text)
      init.audit.note({ kind: 'log-conflict', subject: node, text, detail: { entry: `${head.seq}` }, outsider: true })
    }
    return taken
  }

  // What was kept is verified again: a database that others can write to proves nothing.
  if (trust.authority() !== undefined)
    for (const [name, bytes] of await db.list(PREFIX)) {
      try {
        const stored = check(storedSchema, decode(bytes, LIMITS.rpcMessage))
        if (!stored.success) throw new FleetError('corrupt', 'not a list of heads')
        const [heads, conflicts] = stored.data
        known.set(name as NodeId, { heads: heads.map(opened), conflicts: conflicts.map(opened) })
      } catch (error) {
        log.warn({ node: name, reason: toFleetError(error).message }, 'kept heads of an audit log cannot be read')
      }
    }

  const say = (): void => {
    saying = undefined
    const tail = init.audit.tail()
    if (tail.seq === 0 || trust.authority() === undefined) return
    const statement = trust.sign(AUDIT_HEAD, { node: network.self, epoch: init.epoch, ...tail })
    saidAt = now()
    saidSeq = tail.seq
    take(network.self, { ...tail, epoch: init.epoch, at: statement.clock, bytes: statement.bytes })
    network.publish('events', encodeEvents('audit', statement.bytes))
  }
  /** The earliest time that was asked for holds: growth must not wait for what is said for the sake of neighbours. */
  const sayAfter = (wait: number): void => {
    const at = now() + wait
    if (saying !== undefined && at >= sayAt) return
    clearTimeout(saying)
    sayAt = at
    saying = setTimeout(say, wait)
  }

  network.serve(SERVICE.heads, (_from, body) => {
    const { heads, conflicts } = known.get(decodeNode(body)) ?? NO_HEADS
    return encodeHeads([...heads, ...conflicts].map(({ bytes }) => bytes))
  })

  return {
    grown: () => sayAfter(Math.max(SAY.after, saidAt + SAY.every - now())),
    linkUp() {
      if (saidSeq > 0) sayAfter(Math.max(SAY.after, saidAt + SAY_AGAIN - now()))
    },
    gossip(statement) {
      try {
        const head = opened(statement)
        if (head.node === network.self) return 'ignore'
        if (!init.knows(head.node) || (known.size >= MAX_NODES && !known.has(head.node))) return 'ignore'
        return take(head.node, head) === 'known' ? 'ignore' : 'accept'
      } catch (error) {
        const { code } = toFleetError(error)
        return code === 'corrupt' || code === 'too-large' || code === 'unauthorized' ? 'reject' : 'ignore'
      }
    },
    heads: node => known.get(node) ?? NO_HEADS,
    async stop() {
      clearTimeout(saying)
      clearTimeout(writingSoon)
      await write()
    },
  }
}
