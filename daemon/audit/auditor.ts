import pLimit from 'p-limit'
import { createBucket } from '../../membership/index.ts'
import {
  type AuditEntry,
  createAuditCheck,
  type Digest,
  FleetError,
  type Millis,
  type NodeId,
  openAuditHead,
  readLine,
  type SignedHead,
  toFleetError,
} from '../../protocol/index.ts'
import { allHeads } from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Trust } from '../trust/index.ts'
import type { Audit } from './audit.ts'
import type { Place } from './segments.ts'
import {
  decodeFrom,
  decodeHeads,
  decodePage,
  encodeFrom,
  encodeNode,
  encodePage,
  type Page,
  pageOf,
  SERVICE,
} from './wire.ts'
import type { Witness } from './witness.ts'

/** Members that are asked for the heads that they keep: a node would have to have them all on its side. */
const WITNESSES = 8
/** Logs that are examined at once. */
const AT_ONCE = 4
const ASK_TIMEOUT = 5_000
/** Pages of its log that a node gives out: so many at once, and so many a second after that. */
const PAGES = { burst: 512, rate: 16 }

const BEGINNING: Place = { entry: 1, line: 0 }
const isBehind = (a: Place, b: Place): boolean => a.entry > b.entry || (a.entry === b.entry && a.line > b.line)

/** What came of the examination of one log. `error`: it could not be read to its end. */
export interface Examined {
  readonly node: NodeId
  readonly first: number
  readonly last: number
  readonly entries: number
  /** Signed heads that the log was compared with, and how many members keep any. */
  readonly heads: number
  readonly witnesses: number
  readonly problems: readonly { readonly entry: number; readonly problem: string }[]
  readonly error: string | null
}

/** Reads and examines audit logs, this node's and those of others. */
export interface Auditor {
  /** A part of a node's log as it is written there, and where to go on. Throws what the node says, or `unavailable`. */
  page(node: NodeId, from: Place, signal: AbortSignal): Promise<Page>
  /** All whole entries of a node's log from `from` on. */
  entries(node: NodeId, from: Place, signal: AbortSignal): AsyncGenerator<AuditEntry & { hash: Digest }>
  /** The signed heads of a node's log that can be had from members. */
  headsOf(node: NodeId, signal: AbortSignal): Promise<{ witnesses: number; envelopes: readonly Uint8Array[] }>
  examine(nodes: readonly NodeId[], signal: AbortSignal): Promise<Examined[]>
}

export interface AuditorInit {
  readonly network: Network
  readonly trust: Pick<Trust, 'demand'>
  readonly audit: Audit
  readonly witness: Witness
  /** Members that answer, in any order. */
  readonly alive: () => readonly NodeId[]
  readonly now: () => Millis
}

export function createAuditor(init: AuditorInit): Auditor {
  const { network, trust, audit, witness, now } = init
  const pace = createBucket(PAGES.rate, PAGES.burst)
  const limit = pLimit(AT_ONCE)

  network.serve(SERVICE.log, async (_from, body) => {
    const from = decodeFrom(body)
    if (!pace.take(now(), 1))
      throw new FleetError('unavailable', 'its audit log is being read by too many; try again in a minute')
    return encodePage(await pageOf(audit.read(from)))
  })

  const ask = (node: NodeId, service: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> =>
    network.request(node, service, body, { signal: timeLimit(ASK_TIMEOUT, signal) })

  const page: Auditor['page'] = async (node, from, signal) =>
    node === network.self
      ? pageOf(audit.read(from))
      : decodePage(await ask(node, SERVICE.log, encodeFrom(from), signal))

  async function* lines(node: NodeId, from: Place, signal: AbortSignal): AsyncGenerator<string> {
    for (let next: Place | null = from; next !== null; ) {
      const { lines, next: after } = await page(node, next, signal)
      yield* lines
      // A node that is not honest about its own log must not keep us reading for ever.
      if (after !== null && !isBehind(after, next))
        throw new FleetError('corrupt', 'its audit log goes on where it has been')
      next = after
    }
  }

  const headsOf: Auditor['headsOf'] = async (node, signal) => {
    const own = witness.heads(node)
    const envelopes = [...own.heads, ...own.conflicts].map(({ bytes }) => bytes)
    const others = init.alive().filter(other => other !== network.self && other !== node)
    const answers = await Promise.allSettled(
      others
        .slice(0, WITNESSES)
        .map(async other => decodeHeads(await ask(other, SERVICE.heads, encodeNode(node), signal))),
    )
    const told = answers.flatMap(answer =>
      answer.status === 'fulfilled' && answer.value.length > 0 ? [answer.value] : [],
    )
    return { witnesses: told.length + (envelopes.length > 0 ? 1 : 0), envelopes: [...envelopes, ...told.flat()] }
  }

  /** Heads that this node did sign, each once. */
  const signed = (node: NodeId, envelopes: readonly Uint8Array[]): SignedHead[] => {
    const found = new Map<string, SignedHead>()
    for (const head of allHeads(witness.heads(node))) found.set(`${head.seq} ${head.hash}`, head)
    for (const bytes of envelopes) {
      try {
        const { body, clock } = openAuditHead(trust.demand(), bytes, now())
        if (body.node === node) found.set(`${body.seq} ${body.hash}`, { seq: body.seq, hash: body.hash, at: clock })
      } catch {
        // Whoever sent it cannot make this node have said it.
      }
    }
    return [...found.values()]
  }

  const examineOne = async (node: NodeId, signal: AbortSignal): Promise<Examined> => {
    // First the heads, then the log: what is written in between is no head yet.
    const { witnesses, envelopes } = await headsOf(node, signal)
    const check = createAuditCheck(node, signed(node, envelopes))
    try {
      for await (const line of lines(node, BEGINNING, signal)) check.take(line)
      return { node, witnesses, error: null, ...check.end() }
    } catch (error) {
      const { problems, ...report } = check.end()
      // Where the reading ended is no end of the log.
      return {
        node,
        witnesses,
        ...report,
        problems: problems.filter(({ entry }) => entry <= report.last),
        error: toFleetError(error).message,
      }
    }
  }

  return {
    page,
    headsOf,
    async *entries(node, from, signal) {
      for await (const line of lines(node, from, signal)) {
        const { entry, actual } = readLine(line)
        if (entry !== undefined) yield { ...entry, hash: actual }
      }
    },
    examine: (nodes, signal) => Promise.all(nodes.map(node => limit(() => examineOne(node, signal)))),
  }
}
