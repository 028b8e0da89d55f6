import { setTimeout as sleep } from 'node:timers/promises'
import type { LimitFunction } from 'p-limit'
import type { Logger } from 'pino'
import { FleetError, type Millis, toFleetError } from '../../protocol/index.ts'
import { createLane } from '../drivers/index.ts'
import type { Happening, UserEvent } from '../happenings.ts'
import { coalesced } from './coalesced.ts'
import type { Cursors } from './cursors.ts'
import type { ScriptResult } from './script.ts'
import { type HandlerSpec, kindOf, matches } from './spec.ts'

/** Member events and queries that wait for one handler at most; one more and the oldest is dropped. */
export const QUEUE_LIMIT = 256
/** How long it waits before it reads the events again after that has failed. Milliseconds. */
const RETRY = 1_000

/** This node's user events on disk; of `Events` what handlers need. */
export interface EventLog {
  /**
   * Those behind `cursor`, in order; `follow`: then waits for more, until the signal is aborted. Throws with `oldest` in its detail when
   * what follows the cursor is kept no more, with `newest` when there is no such cursor yet.
   */
  since(cursor: number | undefined, options: { follow: boolean }, signal: AbortSignal): AsyncIterable<UserEvent>
}

/** What handlers have done since the daemon started. */
export interface Counts {
  started: number
  failed: number
  timedOut: number
  /** Member events and queries that a full queue, or their deadline, took away. */
  dropped: number
}

export interface HandlerInit {
  readonly spec: HandlerSpec
  readonly cursors: Cursors
  /** Lets a few scripts run at a time, of all handlers. */
  readonly pool: LimitFunction
  readonly counts: Counts
  readonly now: () => Millis
  readonly log: Logger
  /** Ends a script that runs. */
  readonly kill: AbortSignal
  run(spec: HandlerSpec, happening: Happening, signal: AbortSignal): Promise<ScriptResult>
}

/** One handler: runs its script for one thing after another, in the order in which they happened. */
export interface Handler {
  readonly spec: HandlerSpec
  /** A member event or query. Takes no time: the script runs when its turn comes. */
  take(happening: Happening): void
  /** A user event is there to be read; the first one tells a new handler where to begin. */
  heard(event: UserEvent): void
  /** Where user events come from. */
  follow(events: EventLog): void
  queued(): number
  /** Starts nothing any more. Resolves when what runs has ended. */
  stop(): Promise<void>
}

export function createHandler(init: HandlerInit): Handler {
  const { spec, cursors, pool, counts, log } = init
  const stopping = new AbortController()
  const lane = createLane()
  const waiting: Happening[] = []
  let draining: Promise<void> | undefined
  let cursor = cursors.get(spec)
  let events: EventLog | undefined
  let reading: Promise<void> | undefined
  let full = false

  /** In this handler's turn, once one of the few places is free. `first` is done right before; when it throws, nothing is run. */
  const inTurn = (happening: Happening, first?: () => Promise<void>): Promise<void> =>
    lane(() =>
      pool(async () => {
        if (stopping.signal.aborted) return
        if (happening.type === 'query' && init.now() >= happening.query.deadline) {
          counts.dropped++
          log.debug({ handler: spec.text, query: happening.query.name }, 'nobody waits for this query any more')
          return
        }
        await first?.()
        counts.started++
        await handle(happening)
      }),
    )

  const handle = async (happening: Happening): Promise<void> => {
    const about = { handler: spec.text, event: kindOf(happening) }
    const startedAt = init.now()
    const result = await init.run(spec, happening, init.kill)
    const took = init.now() - startedAt
    if (result.ok) log.debug({ ...about, took }, 'an event handler has run')
    else {
      counts.failed++
      if (result.ended.end === 'timeout') counts.timedOut++
      log.warn({ ...about, took }, `an event handler failed: ${result.reason}`)
    }
    if (happening.type !== 'query') return
    if (result.cut > 0)
      log.warn(
        { ...about, cut: result.cut },
        `the response of a query handler was cut at ${result.stdout.length} bytes`,
      )
    // No output is no response, as with Serf: a node that has nothing to say stays silent.
    if (!result.ok || result.stdout.length === 0) return
    try {
      await happening.query.respond(result.stdout)
    } catch (error) {
      log.warn(about, `the response of a query handler could not be given: ${toFleetError(error).message}`)
    }
  }

  const drain = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const happening = waiting.shift()
      if (happening === undefined) break
      if (waiting.length === 0) full = false
      await inTurn(happening).catch(error =>
        log.error({ err: error, handler: spec.text }, 'an event handler could not be run'),
      )
    }
    draining = undefined
  }

  const dropOldest = (): void => {
    waiting.shift()
    counts.dropped++
    if (full) return
    full = true
    log.warn(
      { handler: spec.text },
      `an event handler is too slow: ${QUEUE_LIMIT} events wait for it, and the oldest are dropped until it has caught up`,
    )
  }

  const read = async (from: EventLog, signal: AbortSignal): Promise<void> => {
    const wanted = only(from.since(cursor, { follow: true }, signal))
    for await (const event of coalesced(wanted, init.now)) {
      await inTurn({ type: 'event', event }, async () => {
        // On disk before the script starts: a crash in between loses one start, and never makes two.
        await cursors.set(spec, event.cursor)
        cursor = event.cursor
      })
      if (signal.aborted) return
    }
    if (!signal.aborted) throw new FleetError('internal', 'the user events came to an end')
  }
  async function* only(all: AsyncIterable<UserEvent>): AsyncGenerator<UserEvent> {
    for await (const event of all) if (matches(spec, { type: 'user', name: event.name })) yield event
  }

  const keepReading = async (): Promise<void> => {
    const { signal } = stopping
    while (!signal.aborted) {
      // Ends what is still asked of the log when this attempt fails.
      const attempt = new AbortController()
      const end = (): void => attempt.abort()
      signal.addEventListener('abort', end, { once: true })
      try {
        await read(events!, attempt.signal)
      } catch (error) {
        if (signal.aborted) return
        end()
        const next = afterGap(error)
        if (next !== undefined) {
          log.error(
            { handler: spec.text, from: cursor, to: next },
            `an event handler missed user events and goes on behind ${next}: ${toFleetError(error).message}`,
          )
          cursor = next
          continue
        }
        log.error({ err: error, handler: spec.text }, 'user events cannot be handled now; it is tried again')
        await sleep(RETRY, undefined, { signal }).catch(() => undefined)
      } finally {
        signal.removeEventListener('abort', end)
      }
    }
  }
  const readOnceKnown = (): void => {
    if (events !== undefined && cursor !== undefined && !stopping.signal.aborted) reading ??= keepReading()
  }

  return {
    spec,
    take(happening) {
      if (stopping.signal.aborted) return
      if (waiting.length >= QUEUE_LIMIT) dropOldest()
      waiting.push(happening)
      draining ??= drain()
    },
    heard(event) {
      cursor ??= event.cursor - 1
      readOnceKnown()
    },
    follow(from) {
      events = from
      readOnceKnown()
    },
    queued: () => waiting.length,
    async stop() {
      stopping.abort()
      await Promise.all([reading, draining, lane(async () => undefined)])
    },
  }
}

/** Where to go on when the log cannot give what follows the cursor; undefined when it is something else that failed. */
function afterGap(error: unknown): number | undefined {
  const { oldest, newest } = toFleetError(error).detail
  if (typeof oldest === 'number') return oldest - 1
  return typeof newest === 'number' ? newest : undefined
}
