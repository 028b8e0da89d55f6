import type { Logger } from 'pino'
import {
  assertMayPush,
  type Digest,
  FleetError,
  LIMITS,
  type Millis,
  millis,
  type NodeId,
  openPush,
  PUSH,
  type Push,
  type Random,
  type Statement,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import { createRegister } from '../../rollout/index.ts'
import type { Network, Verdict } from '../network/index.ts'
import type { Database } from '../state/index.ts'
import { timeLimit } from '../time-limit.ts'
import { encodeEvents } from '../topic-events.ts'
import type { Trust } from '../trust/index.ts'
import { createPace } from './pace.ts'
import {
  decodeIds,
  decodeQuestion,
  decodeStatements,
  encodeIds,
  encodeQuestion,
  encodeStatements,
  MAX_STATEMENTS,
  SERVICE,
} from './wire.ts'

/** How often a neighbour is asked for pushes that gossip has not brought. Milliseconds. */
const COMPARE_EVERY = 30_000
const ASK_TIMEOUT = 10_000
const PREFIX = 'push/'

/** What a reference stands for now. */
export type LivePush = Statement<Push & { pushed: NonNullable<Push['pushed']> }>

/** The pushes that this node knows of, kept on disk and compared with those of others. */
export interface Pushes {
  /** Says that this node took a push, or a deletion where `pushed` is null. Resolves once it is on disk here and on its way. Throws `unauthorized` where the policy forbids it. */
  publish(push: Pick<Push, 'repository' | 'reference' | 'pushed'>): Promise<void>
  /** What a reference stands for; undefined when nothing, or when it was deleted. */
  resolve(repository: string, reference: string): LivePush | undefined
  /** What all references of a repository stand for, without those that were deleted. */
  of(repository: string): readonly LivePush[]
  /** Live pushes of all repositories. */
  live(): readonly LivePush[]
  /** Live pushes of this image of the fleet. */
  naming(image: Digest): readonly LivePush[]
  gossip(statement: Uint8Array): Verdict
  linkUp(peer: NodeId): void
  stop(): Promise<void>
}

export interface PushesInit {
  readonly network: Network
  readonly trust: Pick<Trust, 'authority' | 'demand' | 'sign' | 'credentials'>
  readonly db: Pick<Database, 'put' | 'del' | 'list'>
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
  /** The newest push of some reference is another one now. */
  readonly onChange: () => void
}

export async function createPushes(init: PushesInit): Promise<Pushes> {
  const { network, trust, db, now, log } = init
  const register = createRegister({ pushes: LIMITS.pushes, ofNode: LIMITS.pushesOfNode })
  const inPace = createPace()
  const stopping = new AbortController()
  const writing = new Set<Promise<void>>()
  let summary: Digest | undefined
  let comparing: Promise<void> | undefined

  /** A node that was put out since, or may not push any more, has said nothing. */
  const counts = (push: Statement<Push> | undefined): push is LivePush => {
    const authority = trust.authority()
    if (push === undefined || push.body.pushed === null || authority === undefined) return false
    if (authority.revoked.has(push.body.node)) return false
    try {
      assertMayPush(authority, push.body.node)
      return true
    } catch {
      return false
    }
  }
  const write = (work: Promise<void>): Promise<void> => {
    const mine = work.finally(() => writing.delete(mine))
    writing.add(mine)
    return mine
  }
  /** Undefined when it is no news; else a promise that resolves when it is on disk. */
  const take = (push: Statement<Push>): Promise<void> | undefined => {
    const { news, dropped } = register.take(push)
    if (!news) return undefined
    summary = undefined
    init.onChange()
    return write(
      (async () => {
        await db.put(PREFIX + push.id, push.bytes)
        for (const { id } of dropped) await db.del(PREFIX + id)
      })(),
    )
  }
  const lateFailure = (error: unknown): void => {
    log.error(
      { err: error },
      'a push that others took is not kept on this disk; it comes again from them after a restart',
    )
  }

  const believed = (bytes: Uint8Array): Statement<Push> | undefined => {
    try {
      return openPush(trust.demand(), bytes, now())
    } catch (error) {
      log.debug({ reason: toFleetError(error).message }, 'a push was not believed')
      return undefined
    }
  }

  for (const [, bytes] of await db.list(PREFIX)) {
    const push = believed(bytes)
    if (push !== undefined) register.take(push)
  }

  const ids = (): Digest[] =>
    register
      .all()
      .map(({ id }) => id)
      .sort()
  const summarise = (): Digest => {
    summary ??= sha256(Buffer.from(ids().join('')))
    return summary
  }

  network.serve(SERVICE, (_from, body) => {
    const question = decodeQuestion(body)
    if (question.type === 'differ') return encodeIds(question.summary === summarise() ? [] : ids())
    return encodeStatements(question.ids.flatMap(id => register.get(id)?.bytes ?? []))
  })

  /** Fetches what this neighbour knows and we do not. */
  const compare = async (peer: NodeId): Promise<void> => {
    const ask = (body: Uint8Array): Promise<Uint8Array> =>
      network.request(peer, SERVICE, body, {
        signal: timeLimit(ASK_TIMEOUT, stopping.signal),
      })
    const theirs = decodeIds(await ask(encodeQuestion({ type: 'differ', summary: summarise() })))
    const lacking = theirs.filter(id => register.get(id) === undefined)
    for (let at = 0; at < lacking.length; at += MAX_STATEMENTS) {
      const wanted = lacking.slice(at, at + MAX_STATEMENTS)
      for (const bytes of decodeStatements(await ask(encodeQuestion({ type: 'get', ids: wanted })))) {
        const push = believed(bytes)
        if (push !== undefined) await take(push)
      }
    }
  }
  const compareSoon = (peer: NodeId | undefined): void => {
    if (peer === undefined || comparing !== undefined || trust.authority() === undefined) return
    comparing = compare(peer)
      .catch(error => log.debug({ peer, reason: toFleetError(error).message }, 'pushes could not be compared'))
      .finally(() => {
        comparing = undefined
      })
  }
  const timer = setInterval(() => compareSoon(init.random.shuffle([...network.links()])[0]), COMPARE_EVERY)

  return {
    async publish({ repository, reference, pushed }) {
      const before = register.newest(repository, reference)
      assertMayPush(trust.demand(), network.self)
      const push = trust.sign(PUSH, {
        node: network.self,
        certificate: trust.credentials()!.certificate,
        repository,
        reference,
        pushed,
        at: millis(Math.max(now(), before === undefined ? 0 : before.body.at + 1)),
      })
      const written = take(push)
      if (written === undefined)
        throw new FleetError(
          'unavailable',
          `the fleet keeps ${LIMITS.pushes} pushes, ${LIMITS.pushesOfNode} of one node, and newer ones than this have taken all room`,
        )
      await written
      network.publish('events', encodeEvents('push', push.bytes))
    },
    resolve(repository, reference) {
      const push = register.newest(repository, reference)
      return counts(push) ? push : undefined
    },
    of: repository => register.of(repository).filter(counts),
    live: () => register.all().filter(counts),
    naming: image => register.naming(image).filter(counts),
    gossip(statement) {
      try {
        const push = openPush(trust.demand(), statement, now())
        if (!register.isNews(push) || !inPace(push.body.node, now())) return 'ignore'
        const written = take(push)
        written?.catch(lateFailure)
        return written === undefined ? 'ignore' : 'accept'
      } catch (error) {
        const { code } = toFleetError(error)
        return code === 'corrupt' || code === 'too-large' || code === 'unauthorized' ? 'reject' : 'ignore'
      }
    },
    linkUp: compareSoon,
    async stop() {
      stopping.abort()
      clearInterval(timer)
      await comparing
      await Promise.allSettled(writing)
    },
  }
}
