import type { Random } from '../../protocol/index.ts'

/** Waits between restarts of a program that keeps ending, in milliseconds: doubling from `first` to `last`, and forgotten once it has run for `settledAfter`. */
export const RESTART = { first: 200, last: 30_000, settledAfter: 10_000 } as const

/**
 * How long to wait before restart number `failures` (from 1) in a row: between half and all of the doubled wait ("equal
 * jitter", M. Brooker, Exponential Backoff And Jitter, 2015), so that hosts which fail together do not come back together.
 */
export function restartDelay(failures: number, random: Random): number {
  const full = Math.min(RESTART.last, RESTART.first * 2 ** Math.min(failures - 1, 16))
  return full / 2 + random.int(full / 2 + 1)
}

/** How many failures in a row there are after a run of this length has ended. */
export const failuresAfter = (failures: number, ranFor: number): number =>
  ranFor >= RESTART.settledAfter ? 1 : failures + 1
