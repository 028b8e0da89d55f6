import { createAgenda } from './heap.ts'

/** How far ahead the wheel reaches, milliseconds: nearly all that a membership machine waits for is nearer. A power of two. */
const SPAN = 16_384

export interface Wheel {
  add(at: number, run: () => void): void
  /** The next event that is due by then, taken out. What is added later may still come before it. */
  next(until: number): { readonly at: number; readonly run: () => void } | undefined
}

/**
 * A queue of events by virtual time, for very many of them: one list for each millisecond ahead, so that adding and taking
 * cost the same however long the queue is. What lies further ahead than the wheel reaches waits in a heap. Times are rounded
 * up to whole milliseconds, as timers are; events of one millisecond come in the order in which they were added, those from the heap first.
 */
export function createWheel(start: number): Wheel {
  const slots: (() => void)[][] = Array.from({ length: SPAN }, () => [])
  const far = createAgenda()
  let now = start
  /** Where we are in the list of this millisecond. */
  let taken = 0
  let near = 0

  const turn = (): void => {
    slots[now % SPAN] = []
    taken = 0
    now += 1
    for (let at = far.peek(); at !== undefined && at < now + SPAN; at = far.peek()) put(far.next()!)
  }
  const put = ({ at, run }: { at: number; run: () => void }): void => {
    near += 1
    slots[at % SPAN]!.push(run)
  }
  /** Turns until something is due, or until that time. */
  const find = (until: number): boolean => {
    while (taken >= slots[now % SPAN]!.length) {
      if (near === 0) {
        const at = far.peek()
        if (at === undefined || at > until) return false
        // Nothing is due before: straight to where the wheel shows it.
        slots[now % SPAN] = []
        now = at - 1
      }
      if (now >= until) return false
      turn()
    }
    return now <= until
  }

  return {
    add(time, run) {
      const at = Math.max(now, Math.ceil(time))
      if (at < now + SPAN) put({ at, run })
      else far.add(at, run)
    },
    next(until) {
      if (!find(until)) return undefined
      const run = slots[now % SPAN]![taken]!
      taken += 1
      near -= 1
      return { at: now, run }
    },
  }
}
