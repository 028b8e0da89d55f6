import { setMaxListeners } from 'node:events'
import type { Logger } from 'pino'
import {
  createBucket,
  createMembership,
  decodeGossip,
  type GossipKind,
  type Heard,
  type MemberEvent,
  type Membership,
  type MembershipEffect,
  type MembershipInput,
  type MemberView,
  type Profile,
  type SelfRecord,
  type SelfVitals,
} from '../../membership/index.ts'
import {
  type Address,
  documentId,
  type FleetError,
  type Millis,
  type NodeId,
  nodeSigner,
  openDismissal,
  openRecord,
  openSuspicion,
  openVitals,
  type Random,
  toFleetError,
} from '../../protocol/index.ts'
import { DialError, type Network, type NetworkEvents, type Verdict } from '../network/index.ts'
import type { Stores } from '../state/index.ts'
import type { Trust } from '../trust/index.ts'
import { checkDocument } from './documents.ts'
import { watchLoopDelay } from './loop-delay.ts'

const LEAVE_GRACE = 500

export interface Twin {
  readonly at: Millis
  readonly addresses: readonly Address[]
}

export interface Members {
  members(): readonly MemberView[]
  find(node: NodeId): MemberView | undefined
  links(): readonly NodeId[]
  knows(node: NodeId): boolean
  stats(): ReturnType<Membership['stats']>
  /** When another daemon was last heard to speak with this node's key, and where it said to be. Null: never in this life. */
  twin(): Twin | null
  join(addresses: readonly Address[], peer?: NodeId): void
  changeRecord(change: Partial<SelfRecord>): void
  record(): SelfRecord
  setVitals(vitals: SelfVitals): void
  /** Keeps a document, and passes it on to everybody. Resolves when it is on disk. */
  addDocument(document: Uint8Array): Promise<void>
  /** What was refused under the policy before is asked for again. */
  policyChanged(): void
  revoked(node: NodeId): void
  /** Has done with a node that is failed, overdue or left; with `prune` it is listed no more. Of no effect on others. */
  dismiss(node: NodeId, prune: boolean): void
  /** Says goodbye; resolves when the neighbours have had time to hear it. */
  leave(): Promise<void>
  stop(): void
  /** What the network tells; wired by the composition root. */
  readonly events: Pick<NetworkEvents, 'linkUp' | 'linkDown' | 'frame' | 'heard' | 'discovered'>
  gossip(message: Uint8Array): Verdict
}

export interface MembersInit {
  readonly network: Network
  readonly trust: Trust
  readonly store: Pick<Stores, 'peers' | 'documents'>
  readonly profile: Profile
  readonly epoch: number
  readonly record: SelfRecord
  readonly now: () => Millis
  /** The same clock with fractions, for round trips. */
  readonly exactNow: () => Millis
  readonly random: Random
  readonly log: Logger
  onEvent(event: MemberEvent, member: MemberView): void
  /** A document came from another node; it has been checked and is on disk. `before`: it was there when the daemon started. */
  onDocument(document: Uint8Array, before: boolean): void
  /** A document that somebody sent is badly made or badly signed. It is kept nowhere; the same one may come many times. */
  onRefused(document: Uint8Array, reason: FleetError): void
}

/** Lines in the log about documents that were refused: a second, and at once. */
const REFUSALS = { rate: 1, burst: 10 }

/** Two daemons with one key outdo each other for as long as both live: it is said this often. Milliseconds. */
const TWIN_EVERY = 60_000

/** Runs the membership machine on the network: verifies what comes in, carries out what comes back. */
export async function createMembers(init: MembersInit): Promise<Members> {
  const { network, trust, store, now, exactNow, log } = init
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal) // every connection that is being made listens
  let timer: NodeJS.Timeout | undefined
  let dueAt = exactNow()
  const loop = watchLoopDelay()
  let own = init.record
  let twin: Twin | null = null
  let twinSaid = Number.NEGATIVE_INFINITY

  const open = (kind: GossipKind, bytes: Uint8Array): Heard | undefined => {
    try {
      return verified(kind, bytes)
    } catch (error) {
      log.debug({ kind, reason: toFleetError(error).message }, 'a statement was not believed')
      return undefined
    }
  }
  const verified = (kind: GossipKind, bytes: Uint8Array): Heard => {
    const authority = trust.demand()
    switch (kind) {
      case 'record':
        return { kind, statement: openRecord(authority, bytes, now()) }
      case 'vitals':
        return { kind, statement: openVitals(authority, bytes, now()) }
      case 'suspicion': {
        const statement = openSuspicion(authority, bytes, now())
        return { kind, statement, observer: nodeSigner(statement) }
      }
      case 'dismissal':
        return { kind, statement: openDismissal(authority, bytes, now()) }
      case 'document':
        try {
          checkDocument(authority, bytes)
        } catch (error) {
          const reason = toFleetError(error)
          sayRefused(reason)
          if (reason.code === 'unauthorized' || reason.code === 'corrupt') init.onRefused(bytes, reason)
          throw error
        }
        return { kind, bytes }
      default:
        return kind satisfies never
    }
  }

  /** That somebody tried to order what he may not is worth a line, but not as many as he likes. */
  const refusals = createBucket(REFUSALS.rate, REFUSALS.burst)
  const sayRefused = ({ code, message }: FleetError): void => {
    if (code === 'unauthorized' && refusals.take(now(), 1))
      log.warn({ event: 'document-refused', reason: message }, `refused: ${message}`)
  }

  const machine = createMembership({
    self: network.self,
    profile: init.profile,
    random: init.random,
    epoch: init.epoch,
    record: own,
    now: exactNow(),
    sign: trust.sign,
    open,
    peers: await store.peers.load(),
  })

  const input = (next: MembershipInput): void => {
    if (!stopping.signal.aborted) for (const effect of machine.step(exactNow(), next)) perform(effect)
  }

  const perform = (effect: MembershipEffect): void => {
    switch (effect.type) {
      case 'wakeAt':
        if (timer !== undefined && effect.at === dueAt) return
        clearTimeout(timer)
        dueAt = effect.at
        timer = setTimeout(
          () => {
            timer = undefined
            input({ type: 'wake', late: loop.worst() })
          },
          Math.max(0, Math.ceil(effect.at - exactNow())),
        )
        return
      case 'send':
        network.send(effect.peer, effect.frame)
        return
      case 'publish':
        network.publish('members', effect.message)
        return
      case 'connect':
        network.connect(effect.peer, effect.addresses, stopping.signal).then(
          peer => input({ type: 'linkUp', peer }),
          error => {
            if (stopping.signal.aborted) return
            const failure = error instanceof DialError ? error.failure : 'unreachable'
            log.debug(
              { peer: effect.peer, addresses: effect.addresses, failure },
              `no connection: ${(error as Error).message}`,
            )
            input({
              type: 'dialFailed',
              peer: effect.peer,
              addresses: effect.addresses,
              refused: failure === 'refused',
            })
          },
        )
        return
      case 'knock':
        network
          .knock(effect.addresses, effect.timeout)
          .then(answer => input({ type: 'knocked', peer: effect.peer, answer }))
        return
      case 'disconnect':
        network.disconnect(effect.peer)
        return
      case 'misbehaved':
        log.warn({ peer: effect.peer }, `peer ${effect.peer} sent garbage and is disconnected: ${effect.reason}`)
        network.disconnect(effect.peer)
        return
      case 'peers':
        store.peers
          .save(effect.peers)
          .catch(error => log.error({ err: error }, 'cannot remember the addresses of the members'))
        return
      case 'twin':
        twin = { at: now(), addresses: effect.addresses ?? twin?.addresses ?? [] }
        if (twin.at - twinSaid < TWIN_EVERY) return
        twinSaid = twin.at
        log.error(
          { event: 'twin', addresses: twin.addresses },
          'another daemon speaks with the key of this one: its data directory was copied; see fleetctl doctor',
        )
        return
      case 'event':
        init.onEvent(effect.event, effect.member)
        return
      case 'document':
        keep(effect.bytes).then(
          () => init.onDocument(effect.bytes, false),
          error => log.error({ err: error }, 'cannot keep a document'),
        )
        return
      default:
        return effect satisfies never
    }
  }
  const keep = (document: Uint8Array): Promise<void> => store.documents.add(documentId(document), document)

  for (const document of await store.documents.load()) {
    machine.step(exactNow(), { type: 'document', bytes: document })
    init.onDocument(document, true)
  }
  input({ type: 'wake', late: 0 })

  return {
    members: () => machine.members(),
    find: node => machine.member(node),
    links: () => machine.links(),
    knows: node => machine.knows(node),
    stats: () => machine.stats(),
    twin: () => twin,
    join: (addresses, peer) => input({ type: 'join', addresses, peer }),
    changeRecord(change) {
      own = { ...own, ...change }
      input({ type: 'record', change })
    },
    record: () => own,
    setVitals: vitals => input({ type: 'vitals', vitals }),
    async addDocument(document) {
      await keep(document)
      input({ type: 'document', bytes: document })
    },
    policyChanged: () => input({ type: 'policy' }),
    revoked: node => input({ type: 'revoked', node }),
    dismiss: (node, prune) => input({ type: 'dismiss', node, prune }),
    async leave() {
      input({ type: 'leave' })
      await new Promise(resolve => setTimeout(resolve, LEAVE_GRACE))
    },
    stop() {
      stopping.abort()
      clearTimeout(timer)
      loop.stop()
    },
    events: {
      linkUp: peer => input({ type: 'linkUp', peer }),
      linkDown: peer => input({ type: 'linkDown', peer }),
      frame: (peer, frame) => input({ type: 'frame', peer, frame }),
      heard: peer => input({ type: 'heard', peer }),
      discovered: (peer, addresses) => input({ type: 'join', addresses, peer }),
    },
    gossip(message) {
      let item: Heard
      try {
        item = verified(...decodeGossip(message))
      } catch (error) {
        const { code } = error as FleetError
        // What is badly made or badly signed costs its sender; what only does not fit our policy chain yet does not.
        return code === 'corrupt' || code === 'too-large' || code === 'unauthorized' ? 'reject' : 'ignore'
      }
      const news = machine.news(item)
      input({ type: 'gossip', heard: item })
      return news ? 'accept' : 'ignore'
    },
  }
}
