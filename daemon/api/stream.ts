import type { ServerResponse } from 'node:http'
import { FleetError, HTTP_STATUS, PROBLEM_TYPE, toFleetError, toProblem } from '../../protocol/index.ts'

/** How long the first word may take before the stream is opened without it: until then an error is still a plain status. */
const FIRST_WORD = 1_000
/** At most so many updates a second reach a caller; the newest always does. */
const UPDATE_EVERY = 100
/** A comment in a quiet stream, so that both ends notice a caller that is gone (HTML standard, 9.2.7: about every 15 seconds). */
const HEARTBEAT = 15_000
/** How far a caller may fall behind in a stream of which it gets every update. Bytes. */
const MAX_BEHIND = 4 * 1024 * 1024
/** How long one that was cut off may take to read what was written before. Milliseconds. */
const LAST_WORDS = 10_000

export interface StreamOptions {
  /** Every update is written, none skipped. */
  readonly lossless?: boolean
  /** The id of an update or the result, for callers that resume; a plain count where it gives none. */
  readonly idOf?: (data: unknown) => number | undefined
}

/**
 * Serves one stream of Server-Sent Events: `update`s on the way, then `result` or `problem`. Of updates that the caller
 * cannot take in time only the newest is kept; a lossless stream writes each, and its `update` resolves when the caller
 * has taken what came before. Who cannot wait for that tells on, until the caller is too far behind and is cut off. Resolves when the stream has ended, for whatever reason; never rejects.
 */
export async function serveStream<U>(
  response: ServerResponse,
  signal: AbortSignal,
  run: (update: (update: U) => Promise<void>) => Promise<unknown>,
  { lossless = false, idOf }: StreamOptions = {},
): Promise<void> {
  let id = 0
  let waiting: { update: U } | undefined
  let blocked = false
  let lastUpdate = 0
  let timer: NodeJS.Timeout | undefined

  const open = (): void => {
    if (response.headersSent || signal.aborted) return
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
  }
  const write = (event: string, data: unknown): void => {
    open()
    id += 1
    blocked = !response.write(`id: ${idOf?.(data) ?? id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (waiting === undefined || blocked || signal.aborted) return
    const { update } = waiting
    waiting = undefined
    lastUpdate = performance.now()
    write('update', update)
  }
  const cutOff = (): void => {
    const error = new FleetError(
      'unavailable',
      `what was to be told is ${MAX_BEHIND} bytes ahead of what was read, and goes no further; read faster, or ask for less`,
    )
    write('problem', toProblem(error))
    response.end()
    setTimeout(() => response.destroy(), LAST_WORDS).unref()
  }
  const update = async (next: U): Promise<void> => {
    if (response.writableEnded) return
    waiting = { update: next }
    timer ??= setTimeout(flush, Math.max(0, lastUpdate + UPDATE_EVERY - performance.now()))
  }
  const waiters = new Set<() => void>()
  const release = (): void => {
    for (const done of waiters) done()
    waiters.clear()
  }
  const updateEach = async (next: U): Promise<void> => {
    if (response.writableEnded || signal.aborted) return
    write('update', next)
    if (response.writableLength > MAX_BEHIND) return cutOff()
    if (blocked) await new Promise<void>(done => void waiters.add(done))
  }
  const onDrain = (): void => {
    blocked = false
    release()
    flush()
  }

  response.on('drain', onDrain)
  response.on('close', release)
  const opening = setTimeout(open, FIRST_WORD)
  const heartbeat = setInterval(() => {
    if (response.headersSent && !blocked) blocked = !response.write(':\n\n')
  }, HEARTBEAT)
  try {
    const result = await run(lossless ? updateEach : update)
    if (signal.aborted || response.writableEnded) return
    blocked = false
    flush()
    if (result !== undefined) write('result', result)
    open()
    response.end()
  } catch (thrown) {
    if (signal.aborted || response.writableEnded) return
    const error = toFleetError(thrown)
    const problem = toProblem(error)
    if (response.headersSent) {
      blocked = false
      flush()
      write('problem', problem)
      response.end()
    } else {
      response.writeHead(HTTP_STATUS[error.code], { 'content-type': PROBLEM_TYPE }).end(JSON.stringify(problem))
    }
  } finally {
    response.off('drain', onDrain)
    response.off('close', release)
    release()
    clearTimeout(opening)
    clearTimeout(timer)
    clearInterval(heartbeat)
  }
}
