/** Timing of the membership machine. All lengths of time in milliseconds. */
export interface Profile {
  /**
   * How often an observer makes sure of each node that it observes. Detection of a silent node takes about two of these plus
   * the suspicion timeout; a node that was heard meanwhile, in whatever way, costs nothing. SWIM's protocol period T'.
   */
  readonly probeInterval: number
  /** How long a direct probe may take before two others are asked to try: the 99th percentile of a round trip, generously. Multiplied by (health score + 1). */
  readonly probeTimeout: number
  /** How many others are asked. Each one more makes a false suspicion through one bad path less likely, for two frames each. SWIM's k. */
  readonly relays: number
  /**
   * The shortest suspicion lasts mult * max(1, log10 N) * probeInterval: the time a refutation needs to get around. Larger means
   * fewer healthy nodes failed, and crashes without evidence found later.
   */
  readonly suspicionMult: number
  /** The longest lasts this many times the shortest: what a lone observer has to wait. Confirmations take it down (Lifeguard §IV-B). */
  readonly suspicionMaxMult: number
  /**
   * How long a suspicion with evidence `refused` lasts, whatever N: the host itself said that nothing listens there. Long
   * enough for a refutation by a daemon that was only restarted to come first.
   */
  readonly refusedGrace: number
  /** How often a random neighbour is compared with. Bounds how long a statement that gossip lost stays lost. */
  readonly syncInterval: number
  /** Waits between attempts to reach a wanted neighbour: from the first, doubling to the last, with jitter. */
  readonly redialFirst: number
  readonly redialLast: number
  /** How often one random failed member is tried: what heals partitions of any length. */
  readonly reviveInterval: number
  /** How long a connection that the overlay does not want any more is kept, so that a passing change of it costs nothing. */
  readonly unwantedGrace: number
  /** Own vitals are gossiped at most this often; the last of a burst always is. */
  readonly vitalsInterval: number
}

/** Members on one network, with round trips of a few milliseconds. */
export function lan(): Profile {
  return {
    probeInterval: 1_000,
    probeTimeout: 500,
    relays: 2,
    suspicionMult: 4,
    suspicionMaxMult: 6,
    refusedGrace: 700,
    syncInterval: 30_000,
    redialFirst: 250,
    redialLast: 30_000,
    reviveInterval: 5_000,
    unwantedGrace: 30_000,
    vitalsInterval: 1_000,
  }
}

/** Members across the internet: slower probes, longer patience. */
export function wan(): Profile {
  return {
    ...lan(),
    probeInterval: 5_000,
    probeTimeout: 3_000,
    suspicionMult: 6,
    refusedGrace: 2_000,
    syncInterval: 60_000,
    redialLast: 65_000,
    reviveInterval: 15_000,
  }
}

/** All members on one machine, as in tests and demos. */
export function local(): Profile {
  return {
    ...lan(),
    probeTimeout: 200,
    suspicionMult: 3,
    refusedGrace: 500,
    syncInterval: 15_000,
    redialLast: 5_000,
    reviveInterval: 2_000,
    unwantedGrace: 10_000,
    vitalsInterval: 200,
  }
}

export const PROFILES = { lan, wan, local } as const
