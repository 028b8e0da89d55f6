import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * How often the event loop is looked at, milliseconds. A wake-up of the processor each: 50 cost an idle daemon about 0.07 % of a
 * core, 10 (Node's default) 0.24 %, and what counts as a stall is twice as long as this.
 */
const EVERY = 125
/** Shorter than this is no stall. Milliseconds. */
const STALL = 250

/**
 * How long the event loop was held. Watched from inside Node (`monitorEventLoopDelay`), so that a stall is seen wherever it falls; the
 * lateness of a timer of our own would only show those that it falls into.
 */
export interface LoopDelay {
  /** The longest stall since the last one that was told, in milliseconds, each told once; 0 for none of a quarter of a second or more. */
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
      if (worst < STALL) return 0
      // Seldom: it is blind from here until it has looked twice.
      histogram.reset()
      return worst
    },
    stop: () => void histogram.disable(),
  }
}
