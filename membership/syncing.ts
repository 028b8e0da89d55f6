import { type Digest, documentId, type Millis, millis, type NodeId, type Random } from '../protocol/index.ts'
import { createPuller, itemFrames, keysFor, lackedBy, offerFor } from './antientropy.ts'
import { type Bucket, createBucket } from './bucket.ts'
import { encodeFrame, type Frame, type Item } from './frames.ts'
import { isOutdated } from './heard.ts'
import type { Profile } from './profiles.ts'
import type { Table } from './table.ts'
import type { Heard, MembershipInit } from './types.ts'

/** News that a sync brought is gossiped on when it is this little; more of it travels by syncs of its own. */
const FEW = 16
/** How soon neighbours are compared with after a sync brought much news: between one and two of these. Milliseconds. */
const EAGER = 400
/** Documents that were not believed are not asked for again for so long; what they hang on may come. Milliseconds. */
const DECLINED_FOR = 5 * 60_000
const FORGOTTEN_FOR = 24 * 3_600_000
const MAX_DECLINED = 4_096
/** Digests of one neighbour that are answered: it says one when the link is made, one every 30 s, and some when much is new. */
const DIGESTS = { perSecond: 4, burst: 16 }

export type SyncFrame = Extract<Frame, { type: 'digest' | 'keys' | 'offer' | 'want' | 'items' }>

/** Keeps this node's table level with its neighbours': whom it compares with when, and what it asks them for. */
export interface Syncing {
  /** Tells a peer what we hold, for it to answer with what differs. */
  compare(peer: NodeId): void
  frame(now: Millis, peer: NodeId, frame: SyncFrame): void
  /** A document that is done with: nobody is asked for it for a day. */
  forget(now: Millis, document: Digest): void
  /** What is to be believed has changed: whoever sent what was not is asked for it again, and soon. */
  reconsider(now: Millis): void
  /** Compares with somebody very soon. */
  hurry(now: Millis): void
  drop(peer: NodeId): void
  wake(now: Millis): void
  nextAt(): number
}

export interface SyncingInit {
  readonly self: NodeId
  readonly table: Table
  readonly profile: Profile
  readonly random: Random
  readonly start: Millis
  readonly revoked: ReadonlySet<NodeId>
  readonly open: MembershipInit['open']
  readonly links: () => ReadonlyMap<NodeId, unknown>
  send(peer: NodeId, frame: Frame): void
  /** The same for bytes that go to many; it counts as nothing said. */
  sendBytes(peer: NodeId, frame: Uint8Array): void
  publish(kind: Item[0], bytes: Uint8Array): void
  /** Merges what is believed; `onNews` is told the index of each that was news. */
  take(now: Millis, items: readonly Heard[], onNews: (index: number) => void): void
}

export function createSyncing(init: SyncingInit): Syncing {
  const { self, table, profile, random, revoked, send } = init
  const puller = createPuller()
  /** Documents not to ask anybody for until then. */
  const forgotten = new Map<string, number>()
  /** And those not to ask one peer for, who sent what was not to be believed under that name. */
  const declined = new Map<string, number>()
  const digestsOf = new Map<NodeId, Bucket>()
  let at: number = init.start + random.int(profile.syncInterval)
  /** Much was new: everybody else is compared with then. */
  let eager: { at: Millis; readonly sources: Set<NodeId> } | undefined
  let digestFrame: { of: readonly number[]; frame: Uint8Array } | undefined

  const compare = (peer: NodeId): void => {
    const digests = table.digests()
    if (digestFrame?.of !== digests) digestFrame = { of: digests, frame: encodeFrame({ type: 'digest', digests }) }
    init.sendBytes(peer, digestFrame.frame)
  }
  const hurry = (now: Millis): void => {
    at = Math.min(at, now + random.int(EAGER))
  }
  const putOff = (documents: Map<string, number>, id: string, until: number): void => {
    documents.set(id, until)
    if (documents.size > MAX_DECLINED) documents.delete(documents.keys().next().value!)
  }
  const isDeclined = (now: Millis, peer: NodeId, id: Digest): boolean =>
    (forgotten.get(id) ?? 0) > now || (declined.get(`${peer} ${id}`) ?? 0) > now
  /** A digest is three hundred bytes that can be answered with all that there is to know. Nobody of ours says it so often. */
  const mayCompare = (now: Millis, peer: NodeId): boolean => {
    const bucket = digestsOf.get(peer) ?? createBucket(DIGESTS.perSecond, DIGESTS.burst)
    digestsOf.set(peer, bucket)
    return bucket.take(now, 1)
  }
  const pull = (now: Millis, peer: NodeId, theirs: Parameters<typeof lackedBy>[1]): void => {
    const lacked = lackedBy(table, theirs)
    const want = puller.ask(now, peer, {
      members: lacked.members.filter(node => !revoked.has(node)),
      documents: lacked.documents.filter(id => !isDeclined(now, peer, id)),
    })
    if (want !== undefined) send(peer, want)
  }
  const takeItems = (now: Millis, peer: NodeId, items: readonly Item[]): void => {
    const believed: Heard[] = []
    const raw: Item[] = []
    for (const item of items) {
      const heard = init.open(...item)
      if (heard !== undefined) {
        believed.push(heard)
        raw.push(item)
      } else if (item[0] === 'document') putOff(declined, `${peer} ${documentId(item[1])}`, now + DECLINED_FOR)
    }
    const fresh: Item[] = []
    init.take(now, believed, index => fresh.push(raw[index]!))
    // Who still doubts a version of ours that we have replaced has missed what we said since.
    const { record } = table.entries.get(self)!
    if (believed.some(heard => isOutdated(record, heard)))
      send(peer, { type: 'items', items: [['record', record.bytes]], last: false })
    // What was news here may be news to those behind us.
    if (fresh.length <= FEW) for (const item of fresh) init.publish(...item)
    else {
      eager ??= { at: millis(now + EAGER + random.int(EAGER)), sources: new Set() }
      eager.sources.add(peer)
    }
  }

  return {
    compare,
    hurry,
    forget: (now, document) => putOff(forgotten, document, now + FORGOTTEN_FOR),
    reconsider(now) {
      declined.clear()
      hurry(now)
    },
    drop(peer) {
      puller.drop(peer)
      digestsOf.delete(peer)
    },
    frame(now, peer, frame) {
      switch (frame.type) {
        case 'digest':
          if (!mayCompare(now, peer)) return
          for (const answer of keysFor(table, frame.digests)) send(peer, answer)
          return
        case 'keys': {
          pull(now, peer, frame)
          const offer = offerFor(table, frame)
          if (offer !== undefined) send(peer, offer)
          return
        }
        case 'offer':
          return pull(now, peer, frame)
        case 'want':
          for (const answer of itemFrames(table, frame)) send(peer, answer)
          return
        case 'items': {
          takeItems(now, peer, frame.items)
          const want = frame.last ? puller.answered(now, peer) : undefined
          if (want !== undefined) send(peer, want)
          return
        }
        default:
          return frame satisfies never
      }
    },
    wake(now) {
      // A pull that broke off is taken up again, with whomever.
      if (puller.missed(now)) hurry(now)
      if (now >= at) {
        at = now + profile.syncInterval / 2 + random.int(profile.syncInterval)
        const peer = random.pick([...init.links().keys()])
        if (peer !== undefined) compare(peer)
      }
      if (eager === undefined || now < eager.at) return
      if (puller.busy()) {
        eager.at = millis(now + EAGER)
        return
      }
      const { sources } = eager
      eager = undefined
      for (const peer of init.links().keys()) if (sources.size > 1 || !sources.has(peer)) compare(peer)
    },
    nextAt: () => Math.min(at, puller.nextAt(), eager?.at ?? Number.POSITIVE_INFINITY),
  }
}
