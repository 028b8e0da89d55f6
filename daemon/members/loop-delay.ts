import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * How often the event loop is looked at, milliseconds. A wake-up of the processor each: 50 cost an idle daemon about 0.07 % of a
 * core, 10 (Node's default) 0.24 %, and what counts as late is 250.
 */
const EVERY = 50

/**
 * How long the event loop was held. Watched from inside Node (`monitorEventLoopDelay`), so that a stall is seen wherever it falls; the
 * lateness of a timer of our own would only show those that it falls into.
 */
export interface LoopDelay {
  /** The longest that the loop was held since this was last asked, in milliseconds; what is under way is told the next time. */
  worst(): number
  stop(): void
}

export function watchLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: EVERY })
  histogram.enable()
  return {
    worst() {
      // What is recorded is the time between two looks, in nanoseconds.
      const worst = histogram.max / 1e6 - EVERY
      histogram.reset()
      return Math.max(0, worst)
    },
    stop: () => void histogram.disable(),
  }
}
