/** Highest health score. With it, probes take nine times as long (Lifeguard §IV-A, S = 8). */
const WORST = 8
/** An event loop that was late by this much has not been reading its sockets either. Milliseconds. */
const LATE_LOOP = 250

/** How well this node itself is: 0 is well. A sick observer takes longer before it calls others sick (Lifeguard's local health multiplier). */
export interface Awareness {
  readonly score: number
  probeAnswered(): void
  /** Neither the subject nor those asked to relay answered: the fault may well be ours. */
  nobodyAnswered(): void
  /** Somebody suspected us, so we were not heard. */
  refuted(): void
  loopDelay(milliseconds: number): void
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
    loopDelay: late => {
      if (late >= LATE_LOOP) move(1)
    },
  }
}
