import { join } from 'node:path'
import type { Logger } from 'pino'
import * as z from 'zod'
import { createBucket } from '../../membership/index.ts'
import {
  check,
  type Digest,
  decode,
  type Evidence,
  type EvidenceList,
  type EvidenceView,
  encode,
  encodeEvidence,
  FleetError,
  fields,
  LIMITS,
  type Millis,
  type NodeId,
  openEvidence,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import type { Network } from '../network/index.ts'
import type { Noting } from '../rollout/index.ts'
import { timeLimit } from '../time-limit.ts'
import { type Bundle, openBundles } from './bundles.ts'

/** Other nodes that keep a copy. */
const COPIES = 2
const SERVICE = { keep: 'evidence-keep', list: 'evidence-list', get: 'evidence-get' } as const
const ASK_TIMEOUT = 5_000
/** A bundle without its copies is offered again after this. Milliseconds. */
const OFFER_AGAIN = 10_000
/** Bundles that a node takes from others: so many at once, and one every minute after that. */
const TAKEN = { burst: 64 * 60, rate: 1, each: 60 }

const listSchema = z
  .array(
    z.object({
      digest: fields.digest,
      bytes: fields.counter,
      evidence: z.object({
        node: fields.nodeId,
        name: fields.label,
        layer: fields.label,
        version: z.string().max(512).nullable(),
        at: fields.time,
        cause: z.enum(['marked', 'failed']),
        reason: z.string().max(2048),
      }),
    }),
  )
  .max(2_048)

/** Keeps what was there before a slot is given up: here, and at two others, because what took a host down may take its disk too. */
export interface EvidenceKeeper {
  /** On this disk when it resolves; the copies are on their way. Never rejects: what cannot be kept is said, and keeps nobody from going on. */
  keep(evidence: Evidence): Promise<void>
  /** Resolves when every bundle has its copies, at the latest after so many milliseconds. */
  copied(patience: number): Promise<void>
  /** Of all members that answer. */
  list(node: NodeId | undefined, signal: AbortSignal): Promise<EvidenceList>
  /** From whoever keeps it. Throws `not-found` or `conflict`. */
  get(beginning: string, signal: AbortSignal): Promise<EvidenceView>
  stop(): Promise<void>
}

export async function createEvidence(init: {
  readonly directory: string
  readonly network: Network
  /** Members that answer, in any order. */
  readonly alive: () => readonly NodeId[]
  readonly nameOf: (node: NodeId) => string
  readonly note: Noting
  readonly now: () => Millis
  readonly log: Logger
}): Promise<EvidenceKeeper> {
  const { network, note, now, log } = init
  const bundles = await openBundles(join(init.directory, 'evidence'), log)
  const pace = createBucket(TAKEN.rate, TAKEN.burst)
  const stopping = new AbortController()
  /** Own bundles that lack copies, and who has one. */
  const lacking = new Map<Digest, Set<NodeId>>()
  let offering: Promise<void> | undefined
  let again: NodeJS.Timeout | undefined

  const ask = (node: NodeId, service: string, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> =>
    network.request(node, service, body, {
      signal: timeLimit(ASK_TIMEOUT, signal, stopping.signal),
    })

  const tellGone = (gone: readonly Bundle[]): void => {
    for (const { digest, evidence } of gone)
      note({
        kind: 'evidence',
        subject: evidence.name,
        text: `evidence ${digest.slice(0, 12)} of ${evidence.name} had to make room for newer`,
        detail: { digest, node: evidence.node, state: 'gone' },
      })
  }

  network.serve(SERVICE.keep, async (from, body) => {
    const evidence = openEvidence(body)
    if (evidence.node !== from) throw new FleetError('unauthorized', 'a node may only give evidence of itself')
    const digest = sha256(body)
    if (bundles.has(digest)) return new Uint8Array()
    if (!pace.take(now(), TAKEN.each)) throw new FleetError('unavailable', 'it has taken much evidence already')
    tellGone(await bundles.put(digest, body, evidence))
    return new Uint8Array()
  })
  network.serve(SERVICE.list, () => encode(bundles.list()))
  network.serve(SERVICE.get, async (_from, body) => {
    const digest = check(fields.digest, decode(body, 128))
    const bytes = digest.success ? await bundles.get(digest.data) : undefined
    if (bytes === undefined) throw new FleetError('not-found', 'no such evidence here')
    return bytes
  })

  const offerOne = async (digest: Digest, holders: Set<NodeId>): Promise<void> => {
    const bytes = await bundles.get(digest)
    if (bytes === undefined) return void lacking.delete(digest)
    for (const node of init.alive()) {
      if (holders.size >= COPIES) break
      if (holders.has(node) || node === network.self) continue
      try {
        await ask(node, SERVICE.keep, bytes, stopping.signal)
        holders.add(node)
      } catch (error) {
        log.debug({ node, reason: toFleetError(error).message }, 'evidence was not taken')
      }
    }
    if (holders.size >= COPIES) lacking.delete(digest)
  }
  const offer = (): void => {
    clearTimeout(again)
    offering ??= (async () => {
      for (const [digest, holders] of lacking) await offerOne(digest, holders)
    })().finally(() => {
      offering = undefined
      if (lacking.size > 0 && !stopping.signal.aborted) again = setTimeout(offer, OFFER_AGAIN).unref()
    })
  }

  const listAt = async (node: NodeId, signal: AbortSignal): Promise<readonly Bundle[]> => {
    if (node === network.self) return bundles.list()
    const found = check(listSchema, decode(await ask(node, SERVICE.list, new Uint8Array(), signal), LIMITS.rpcMessage))
    return found.success ? found.data : []
  }
  const everywhere = async (signal: AbortSignal): Promise<Map<Digest, { bundle: Bundle; holders: NodeId[] }>> => {
    const nodes = [network.self, ...init.alive().filter(node => node !== network.self)]
    const answers = await Promise.allSettled(nodes.map(node => listAt(node, signal)))
    const all = new Map<Digest, { bundle: Bundle; holders: NodeId[] }>()
    for (const [at, answer] of answers.entries())
      for (const bundle of answer.status === 'fulfilled' ? answer.value : []) {
        const known = all.get(bundle.digest)
        if (known === undefined) all.set(bundle.digest, { bundle, holders: [nodes[at]!] })
        else known.holders.push(nodes[at]!)
      }
    return all
  }

  return {
    async keep(evidence) {
      const { digest, bytes } = encodeEvidence(evidence)
      try {
        tellGone(await bundles.put(digest, bytes, evidence))
      } catch (error) {
        log.error({ err: error, layer: evidence.layer }, 'evidence could not be kept')
        return
      }
      note({
        kind: 'evidence',
        subject: evidence.layer,
        text: `evidence ${digest.slice(0, 12)} of slot ${evidence.slot} was kept: ${evidence.reason}`.slice(0, 1024),
        detail: { digest, layer: evidence.layer, image: evidence.image, cause: evidence.cause },
      })
      lacking.set(digest, new Set())
      offer()
    },
    async copied(patience) {
      if (lacking.size === 0) return
      offer()
      let timer: NodeJS.Timeout | undefined
      await Promise.race([
        offering,
        new Promise<void>(done => {
          timer = setTimeout(done, patience)
        }),
      ])
      clearTimeout(timer)
    },
    async list(node, signal) {
      const all = [...(await everywhere(signal)).values()]
      return {
        evidence: all
          .filter(({ bundle }) => node === undefined || bundle.evidence.node === node)
          .sort((a, b) => b.bundle.evidence.at - a.bundle.evidence.at)
          .map(({ bundle: { digest, bytes, evidence }, holders }) => ({
            ...{ digest, bytes, ...evidence },
            holders: holders.map(init.nameOf).sort(),
          })),
      }
    },
    async get(beginning, signal) {
      const all = [...(await everywhere(signal)).values()].filter(({ bundle }) => bundle.digest.startsWith(beginning))
      const [found, ...others] = all
      if (found === undefined)
        throw new FleetError(
          'not-found',
          `no member that answers keeps evidence ${beginning}; see "fleetctl evidence list"`,
        )
      if (others.length > 0)
        throw new FleetError(
          'conflict',
          `${beginning} may be any of ${all.length} bundles of evidence; give more of it`,
        )
      const { digest } = found.bundle
      for (const holder of found.holders) {
        const bytes =
          holder === network.self
            ? await bundles.get(digest)
            : await ask(holder, SERVICE.get, encode(digest), signal).catch(() => undefined)
        // Whoever sends something else has not got it.
        if (bytes !== undefined && sha256(bytes) === digest) return { digest, evidence: openEvidence(bytes) }
      }
      throw new FleetError('unavailable', `none of those who keep evidence ${digest.slice(0, 12)} can give it just now`)
    },
    async stop() {
      stopping.abort()
      clearTimeout(again)
      await offering
    },
  }
}
