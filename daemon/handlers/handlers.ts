import pLimit from 'p-limit'
import type { Logger } from 'pino'
import type { Millis, NodeId } from '../../protocol/index.ts'
import type { Happening, Happenings } from '../happenings.ts'
import { type CursorStore, openCursors } from './cursors.ts'
import { type Counts, createHandler, type EventLog, type Handler } from './handler.ts'
import { createMemberNews } from './member-news.ts'
import { runScript } from './script.ts'
import { type Self, stdinOf, variablesOf } from './script-input.ts'
import { type HandlerSpec, isInternal, kindOf, matches, readsEvents } from './spec.ts'

/** How long scripts that run have to end when the daemon stops. Milliseconds. */
const STOP_GRACE = 5_000

export interface HandlersConfig {
  readonly eventHandler: readonly HandlerSpec[]
  /** Milliseconds that a script may run. */
  readonly handlerTimeout: number
  /** Scripts that run at the same time, of all handlers. */
  readonly handlerConcurrency: number
}

export interface HandlersInit {
  readonly config: HandlersConfig
  readonly happenings: Happenings
  readonly store: CursorStore
  readonly self: () => Self
  readonly nameOf: (node: NodeId) => string | undefined
  readonly now: () => Millis
  readonly log: Logger
}

export interface Handlers {
  /** Where user events come from. Until it is known they wait. */
  follow(events: EventLog): void
  /** Takes another configuration. A handler whose text stays as it is goes on undisturbed; what waits for one that is gone is dropped. */
  configure(config: HandlersConfig): void
  stats(): Counts & { readonly handlers: number; readonly running: number; readonly queued: number }
  /** Starts nothing any more; resolves when what runs has ended, or was killed after five seconds. */
  stop(): Promise<void>
}

/**
 * Runs this host's event handlers for what it is told of. Nobody who tells waits for a script. Throws `corrupt` when the file
 * that says how far they have come is damaged.
 */
export async function createHandlers(init: HandlersInit): Promise<Handlers> {
  const { happenings, now, log } = init
  const cursors = await openCursors(init.store)
  const kill = new AbortController()
  const counts: Counts = { started: 0, failed: 0, timedOut: 0, dropped: 0 }
  let config = init.config
  const pool = pLimit(config.handlerConcurrency)
  let handlers = new Map<string, Handler>()
  const ending = new Set<Promise<void>>()
  let events: EventLog | undefined

  const create = (spec: HandlerSpec): Handler =>
    createHandler({
      spec,
      cursors,
      pool,
      counts,
      now,
      log,
      kill: kill.signal,
      run: ({ script }, happening, signal) =>
        runScript({
          script,
          variables: variablesOf(happening, init.self(), init.nameOf),
          stdin: stdinOf(happening),
          timeout: config.handlerTimeout,
          signal,
        }),
    })

  const end = (handler: Handler): void => {
    const ended = handler.stop().finally(() => ending.delete(ended))
    ending.add(ended)
  }

  const configure = (next: HandlersConfig): void => {
    config = next
    pool.concurrency = next.handlerConcurrency
    const before = handlers
    handlers = new Map()
    cursors.keep(next.eventHandler)
    for (const spec of next.eventHandler) {
      const kept = before.get(spec.text)
      before.delete(spec.text)
      const handler = kept ?? create(spec)
      handlers.set(spec.text, handler)
      if (kept === undefined && events !== undefined && readsEvents(spec)) handler.follow(events)
    }
    for (const gone of before.values()) end(gone)
  }

  const hand = (happening: Happening): void => {
    const kind = kindOf(happening)
    for (const handler of handlers.values()) if (matches(handler.spec, kind)) handler.take(happening)
  }
  const news = createMemberNews(now, hand)
  const deaf = happenings.listen(happening => {
    if (handlers.size === 0 || isInternal(kindOf(happening))) return
    switch (happening.type) {
      case 'members':
        news.add(happening)
        return
      case 'event':
        for (const handler of handlers.values()) if (readsEvents(handler.spec)) handler.heard(happening.event)
        return
      case 'query':
        hand(happening)
        return
      default:
        happening satisfies never
    }
  })
  configure(config)

  return {
    follow(from) {
      events = from
      for (const handler of handlers.values()) if (readsEvents(handler.spec)) handler.follow(from)
    },
    configure,
    stats: () => ({
      ...counts,
      handlers: handlers.size,
      running: pool.activeCount,
      queued: [...handlers.values()].reduce((sum, handler) => sum + handler.queued(), 0),
    }),
    async stop() {
      deaf()
      news.stop()
      for (const handler of handlers.values()) end(handler)
      handlers = new Map()
      const patience = setTimeout(() => {
        log.warn('event handlers that still run are killed: the daemon stops')
        kill.abort()
      }, STOP_GRACE)
      await Promise.allSettled(ending)
      clearTimeout(patience)
    },
  }
}
