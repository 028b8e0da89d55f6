import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import {
  createEvents as createMachine,
  createPace,
  type Delivered,
  type EventsEffect,
  type EventsInput,
  type EventsMachine,
  type Kept,
  type Remembered,
} from '../../membership/index.ts'
import {
  EVENT,
  eventName,
  FleetError,
  type FleetEvent,
  LIMITS,
  type Millis,
  type NodeId,
  open,
  openEvent,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import type { Happenings, UserEvent } from '../happenings.ts'
import type { Network, NetworkEvents, Verdict } from '../network/index.ts'
import { encodeEvents } from '../topic-events.ts'
import type { Trust } from '../trust/index.ts'
import { openJournal } from './journal.ts'
import { replay } from './replay.ts'

/** What an author keeps to of the pace that others take from it. */
const OWN_SHARE = 0.9
/** Events that may wait for their turn to be fired. */
const MAX_QUEUED = 4_096
/** How long after a failed write the next is tried. Milliseconds. */
const RETRY = 1_000
/** How long what came from others may wait for an fsync. After a power cut, events of that time may be delivered again. Milliseconds. */
const SYNC_WITHIN = 1_000
/** Bytes that may wait for the disk before nothing more is taken from the network; what is missed comes later by anti-entropy. */
const MAX_BACKLOG = 16 * 1024 * 1024

export interface NewEvent {
  readonly name: string
  readonly payload: Uint8Array
  readonly coalesce: boolean
}

/** User events on this node. */
export interface Events {
  /**
   * Resolves when the event is durable here and on its way. Waits while this node fires faster than one author may. Throws `bad-input`
   * for a name that none can have, `too-large`, `unavailable` when too many wait already, or what the disk said.
   */
  fire(event: NewEvent): Promise<UserEvent>
  /**
   * The events behind `cursor`, all that are kept where it is undefined, in order; then, with `follow`, those that come. Skips none: throws
   * `not-found`, naming the cursor, when what follows it is kept no more. Reads as fast as the caller does, and holds nothing back for it.
   */
  since(cursor: number | undefined, options: { follow: boolean }, signal: AbortSignal): AsyncIterable<UserEvent>
  /** Lamport time of the newest event that is known here. */
  ltime(): number
  stats(): ReturnType<EventsMachine['stats']>
  /** An operator put this node out: its events are neither taken nor waited for. */
  revoked(node: NodeId): void
  /** Waits for what is being written. */
  close(): Promise<void>
  /** What the network tells; wired by the composition root. */
  readonly network: Pick<NetworkEvents, 'linkUp' | 'frame'> & { linkDown(peer: NodeId): void }
  gossip(message: Uint8Array, from: NodeId): Verdict
}

export interface EventsInit {
  readonly network: Network
  readonly trust: Trust
  readonly happenings: Happenings
  /** The data directory. */
  readonly directory: string
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

/**
 * Runs the machine on the network and the disk: what it delivers is written before anybody is told, so that no crash repeats or
 * loses it, and what this node fires is safe from a power cut before it goes out.
 */
export async function createEvents(init: EventsInit): Promise<Events> {
  const { network, trust, now, log } = init
  const stopping = new AbortController()
  const journal = await openJournal(join(init.directory, 'events'), trust.demand().fleet, network.self)
  const pace = createPace(OWN_SHARE)
  const fired = new Map<number, { done: (event: UserEvent) => void; fail: (error: FleetError) => void }>()
  const listeners = new Set<() => void>()
  let timer: NodeJS.Timeout | undefined
  let syncing: NodeJS.Timeout | undefined
  let unwritten: Remembered[] = []
  let backlog = 0
  let writing: Promise<void> | undefined
  let failure: FleetError | undefined
  let durable = journal.state.cursor
  let queued = 0
  let turn: Promise<unknown> = Promise.resolve()

  const believe = (bytes: Uint8Array) => {
    try {
      return openEvent(trust.demand(), bytes, now())
    } catch (error) {
      log.debug({ reason: toFleetError(error).message }, 'an event was not believed')
      return undefined
    }
  }
  const machine = createMachine({
    self: network.self,
    random: init.random,
    now: now(),
    state: journal.state,
    kept: journal.kept,
    sign: trust.sign,
    open: believe,
  })

  const input = (next: EventsInput): void => {
    if (!stopping.signal.aborted) for (const effect of machine.step(now(), next)) perform(effect)
  }
  const perform = (effect: EventsEffect): void => {
    switch (effect.type) {
      case 'wakeAt':
        clearTimeout(timer)
        timer = setTimeout(() => input({ type: 'wake' }), Math.max(0, effect.at - now()))
        return
      case 'send':
        network.send(effect.peer, effect.frame)
        return
      case 'misbehaved':
        log.warn({ peer: effect.peer }, `peer ${effect.peer} sent garbage and is disconnected: ${effect.reason}`)
        network.disconnect(effect.peer)
        return
      case 'lost':
        log.warn(
          { node: effect.node, from: effect.from, to: effect.to },
          `events ${effect.from} to ${effect.to} of ${effect.node} could not be had from anybody and are not waited for any more`,
        )
        return remember(effect)
      case 'without':
        log.warn(
          { node: effect.node, seq: effect.seq, cause: effect.cause, at: effect.at },
          `event ${effect.seq} of ${effect.node} is delivered without event ${effect.at} of ${effect.cause}, which it names as before it and nobody has`,
        )
        return
      case 'deliver':
      case 'settled':
        return remember(effect)
      default:
        return effect satisfies never
    }
  }

  // ---- the disk ----

  const sizeOf = (item: Remembered): number => (item.type === 'deliver' ? item.event.statement.bytes.byteLength : 64)
  const remember = (item: Remembered): void => {
    unwritten.push(item)
    backlog += sizeOf(item)
    writing ??= write().finally(() => {
      writing = undefined
    })
  }
  /** Writes until nothing is left; what came in one turn, and while the disk was busy, is one batch. */
  const write = async (): Promise<void> => {
    await Promise.resolve()
    while (unwritten.length > 0) {
      const batch = unwritten
      // Taken together with all that is unwritten, so that it is the state after this batch.
      const state = journal.full() ? machine.state() : undefined
      unwritten = []
      try {
        await journal.append(batch, { sync: batch.some(isOwn) })
        syncSoon()
        failure = undefined
      } catch (error) {
        unwritten = [...batch, ...unwritten]
        stumble(toFleetError(error))
        if (stopping.signal.aborted) return
        await sleep(RETRY, undefined, { signal: stopping.signal }).catch(() => undefined)
        continue
      }
      for (const item of batch) {
        backlog -= sizeOf(item)
        if (item.type === 'deliver') announce(item.event)
      }
      for (const listener of [...listeners]) listener()
      if (state !== undefined)
        await journal
          .roll(state, machine.buffer.oldest())
          .catch(error => log.error({ err: error }, 'the journal of events could not be begun anew'))
    }
  }
  /** A number that went out must not be given twice, whatever happens; what others fired comes again from them. */
  const isOwn = (item: Remembered): boolean =>
    item.type === 'settled' || (item.type === 'deliver' && item.event.statement.body.node === network.self)
  const syncSoon = (): void => {
    syncing ??= setTimeout(() => {
      syncing = undefined
      journal.sync().catch(error => {
        log.error({ err: error }, 'the journal of events is not safe from a power cut')
        if (!stopping.signal.aborted) syncSoon()
      })
    }, SYNC_WITHIN)
  }
  const stumble = (error: FleetError): void => {
    if (failure === undefined) log.error({ err: error }, 'events wait for the disk')
    failure = error
    for (const { fail } of fired.values())
      fail(
        new FleetError(
          error.code,
          `the event waits for the disk and goes out once that takes it, so do not fire it again: ${error.message}`,
          { cause: error },
        ),
      )
    fired.clear()
  }
  const announce = ({ cursor, statement, told }: Delivered): void => {
    durable = cursor
    const { body } = statement
    const event = viewOf(cursor, statement)
    if (body.node === network.self && told) {
      network.publish('events', encodeEvents('event', statement.bytes))
      fired.get(body.seq)?.done(event)
      fired.delete(body.seq)
    }
    if (told) init.happenings.tell({ type: 'event', event })
  }

  const view = ({ cursor, bytes }: Kept): UserEvent => viewOf(cursor, open(EVENT, trust.demand().fleet, bytes))

  // ---- what is fired here ----

  const assertCanFire = ({ name, payload }: NewEvent): void => {
    if (!eventName.safeParse(name).success)
      throw new FleetError(
        'bad-input',
        `${JSON.stringify(name.slice(0, 80))} is no name for an event; use 1 to ${LIMITS.eventName} characters, and no control characters`,
      )
    if (payload.byteLength > LIMITS.eventPayload)
      throw new FleetError(
        'too-large',
        `the payload of event ${name} has ${payload.byteLength} bytes and ${LIMITS.eventPayload} are allowed; send an image, or the place to find it`,
      )
    if (queued >= MAX_QUEUED)
      throw new FleetError(
        'unavailable',
        `${queued} events wait to be fired already: this node fires faster than one node may; fire fewer`,
      )
  }
  /** Numbers the event once it is its turn; `written` is for the disk to settle. */
  const number = async (event: NewEvent): Promise<{ written: Promise<UserEvent> }> => {
    for (;;) {
      if (stopping.signal.aborted) throw stopped()
      if (failure !== undefined) throw failure
      if (pace.take(now(), event.payload.byteLength)) break
      const wait = Math.max(1, pace.readyAt(now(), event.payload.byteLength) - now())
      await sleep(wait, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
    const seq = machine.nextSeq()
    const written = new Promise<UserEvent>((done, fail) => fired.set(seq, { done, fail }))
    input({ type: 'fire', ...event })
    return { written }
  }

  input({ type: 'wake' })

  return {
    async fire(event) {
      assertCanFire(event)
      queued += 1
      const mine = turn.then(() => number(event))
      turn = mine.catch(() => undefined)
      try {
        return await (await mine).written
      } finally {
        queued -= 1
      }
    },
    since: (cursor, options, signal) =>
      replay({ buffer: machine.buffer, durable: () => durable, listeners, view }, cursor, options, signal),
    ltime: () => machine.ltime(),
    stats: () => machine.stats(),
    revoked: node => input({ type: 'revoked', node }),
    async close() {
      stopping.abort()
      clearTimeout(timer)
      await writing
      clearTimeout(syncing)
      for (const { fail } of fired.values()) fail(stopped())
      for (const listener of [...listeners]) listener()
      await journal.close()
    },
    network: {
      linkUp: peer => input({ type: 'linkUp', peer }),
      linkDown: peer => input({ type: 'linkDown', peer }),
      frame(peer, frame) {
        if (backlog <= MAX_BACKLOG) input({ type: 'frame', peer, frame })
      },
    },
    gossip(message, from) {
      if (backlog > MAX_BACKLOG) return 'ignore'
      try {
        const event = openEvent(trust.demand(), message, now())
        const worth = machine.worth(now(), event.body, from)
        if (worth === 'news') input({ type: 'gossip', event, peer: from })
        else if (worth === 'excess') input({ type: 'wake' })
        return worth === 'news' ? 'accept' : 'ignore'
      } catch (error) {
        const { code } = toFleetError(error)
        return code === 'corrupt' || code === 'too-large' || code === 'unauthorized' ? 'reject' : 'ignore'
      }
    },
  }
}

const stopped = (): FleetError => new FleetError('unavailable', 'the daemon stops; the event was not fired')

function viewOf(cursor: number, statement: Statement<FleetEvent>): UserEvent {
  const { node, seq, ltime, name, payload, coalesce } = statement.body
  return { cursor, author: node, seq, ltime, name, payload, coalesce, at: statement.clock }
}
