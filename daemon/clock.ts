import { type Millis, millis } from '../protocol/index.ts'

/**
 * Wall-clock time that never goes back: machines and timers live on it. It follows the wall clock forward (after a suspend, or
 * when the clock is set), and when that is set back it goes on at its own pace until the wall clock has caught up.
 * With fractions of a millisecond, because round trips have them; what is written down is whole (`wholeMillis`).
 */
export function createClock(
  wall: () => number = Date.now,
  monotonic: () => number = () => performance.now(),
): () => Millis {
  let offset = wall() - monotonic()
  return () => {
    offset = Math.max(offset, wall() - monotonic())
    return millis(monotonic() + offset)
  }
}

/** The same clock, in whole milliseconds as statements want them. */
export const wholeMillis = (clock: () => Millis) => (): Millis => millis(Math.floor(clock()))
