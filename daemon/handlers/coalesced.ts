import { COALESCE, type CoalescePeriods, createCoalescer } from '../../membership/index.ts'
import type { Millis } from '../../protocol/index.ts'
import type { UserEvent } from '../happenings.ts'

/**
 * User events with those left out that a later one of the same name stands for: only where both were fired to be coalesced,
 * and came within the periods. The order is kept. An event that must not be coalesced sends what is gathered out before it
 * (Serf lets it overtake), so the cursors that come out only ever grow: who has had one has had, or been spared, all before it.
 */
export async function* coalesced(
  events: AsyncIterable<UserEvent>,
  now: () => Millis,
  periods: CoalescePeriods = COALESCE,
): AsyncGenerator<UserEvent> {
  const coalescer = createCoalescer<UserEvent>(event => event.name, periods)
  const iterator = events[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    for (;;) {
      const result = await within(next, coalescer.nextAt() - now())
      if (result === 'time') {
        yield* coalescer.due(now())
        continue
      }
      if (result.done === true) break
      const event = result.value
      if (event.coalesce) yield* coalescer.add(now(), event)
      else {
        yield* coalescer.flush()
        yield event
      }
      next = iterator.next()
      next.catch(() => undefined) // whoever awaits it next has the error
    }
    yield* coalescer.flush()
  } finally {
    // Not awaited: it would wait for an event that may never come. Who gave us the events ends them by their signal.
    iterator.return?.().catch(() => undefined)
  }
}

/** What the promise gives, or 'time' once so many milliseconds have passed; Infinity waits for ever. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | 'time'> {
  if (milliseconds === Number.POSITIVE_INFINITY) return promise
  let timer: NodeJS.Timeout | undefined
  const time = new Promise<'time'>(resolve => {
    timer = setTimeout(resolve, Math.max(0, milliseconds), 'time')
  })
  try {
    return await Promise.race([promise, time])
  } finally {
    clearTimeout(timer)
  }
}
