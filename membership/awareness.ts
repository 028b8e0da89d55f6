/** Highest health score. With it, probes take nine times as long (Lifeguard §IV-A, S = 8). */
const WORST = 8
/** A node whose event loop was held for so long was not reading its sockets either: one point for each so much. Milliseconds. */
const LATE_LOOP = 250

/**
 * How well this node itself is: 0 is well. A sick observer takes longer before it calls others sick (Lifeguard's local health
 * multiplier, arXiv 1707.00788, §IV-A). As there: -1 for an answered probe, +1 for one that neither its subject nor all that were
 * asked to relay it answered, +1 for having to refute. Ours: points for an event loop that was held, since a
 * single-threaded process is most often slow for that; and no point where nobody could be asked to relay, for then a dead peer looks the same.
 */
export interface Awareness {
  readonly score: number
  probeAnswered(): void
  /** Neither the subject nor those asked to relay answered: the fault may well be ours. */
  nobodyAnswered(): void
  /** Somebody suspected us, so we were not heard. */
  refuted(): void
  /** The event loop was held for so long at a stretch, milliseconds. */
  loopDelay(held: number): void
}

export function createAwareness(): Awareness {
  let score = 0
  const move = (by: number): void => {
    score = Math.min(WORST, Math.max(0, score + by))
  }
  return {
    get score() {
      return score
    },
    probeAnswered: () => move(-1),
    nobodyAnswered: () => move(1),
    refuted: () => move(1),
    loopDelay: held => move(Math.floor(held / LATE_LOOP)),
  }
}
