/** Timing of the membership machine. All lengths of time in milliseconds. */
export interface Profile {
  /**
   * How often an observer makes sure of each node that it observes. A node that was heard meanwhile, in whatever way, is not
   * asked. Shorter finds silent nodes sooner (about two of these and the suspicion timeout) for more frames: SWIM's period T'.
   * A probe that is not answered takes max(probeInterval, 2 * probeTimeout) * (health score + 1), and no other one is sent meanwhile:
   * so a node that is unwell probes up to nine times as seldom (Lifeguard §IV-A).
   */
  readonly probeInterval: number
  /**
   * How long a direct probe may take before two others are asked to try: the 99th percentile of a round trip, generously.
   * Multiplied by (health score + 1). Shorter asks others needlessly; longer than half the interval makes rounds overlap.
   */
  readonly probeTimeout: number
  /**
   * How many others are asked. Each one more makes a suspicion through one bad path less likely, for four frames. SWIM's k. Each has
   * 0.8 * probeTimeout to say that it did not get through either; whoever says nothing counts against our own health.
   */
  readonly relays: number
  /**
   * How long a host may take to answer a connection that is only begun, when its daemon does not answer probes. Several are
   * begun within this time, so that no lost packet decides. Shorter takes a lossy path for a dead host; longer finds dead hosts later.
   */
  readonly knockTimeout: number
  /**
   * How long a suspicion of `unreachable` lasts once enough observers hold it (judge.ts), whatever N: the host does not
   * answer, which it did before. Has to cover one gossip round trip, so that whoever is reached by others can refute.
   */
  readonly unreachableGrace: number
  /**
   * A suspicion of `silence` (the host answers, or cannot be asked, and its daemon says nothing) lasts mult * max(1, log10 N) *
   * probeInterval at the shortest. A process that stands still is all that is left to be found by it, so it may be long: larger means
   * that longer pauses (a suspended machine, a stalled disk) are forgiven, and hung processes found later.
   * Two confirmations by other observers bring a suspicion down to it.
   */
  readonly suspicionMult: number
  /**
   * The longest lasts this many times the shortest: what a lone observer has to wait. Confirmations take it down (Lifeguard §IV-B).
   * Larger protects those whom one sick observer suspects, and lets a node that only one observer can see be gone for longer.
   */
  readonly suspicionMaxMult: number
  /**
   * How long a suspicion with evidence `refused` lasts, whatever N: the host itself said that nothing listens there. Has to
   * cover one gossip round trip, and may cover a daemon's restart, which then nobody takes for a failure.
   */
  readonly refusedGrace: number
  /**
   * How often a random neighbour is compared with, give or take half. Bounds how long a statement that gossip lost stays lost; each
   * time costs one frame of about 600 bytes where nothing differs.
   */
  readonly syncInterval: number
  /** Waits between attempts to reach a peer: from the first, doubling to the last, each with jitter down to half. The last bounds how long a healed partition stays unnoticed. */
  readonly redialFirst: number
  readonly redialLast: number
  /**
   * How long a connection that the overlay does not want is kept, so that a passing change of it costs no reconnection. Longer
   * keeps more sockets open in a fleet whose members come and go.
   */
  readonly unwantedGrace: number
  /**
   * Own vitals are gossiped at most this often; the last of a burst always is. Shorter shows progress and health sooner, for one
   * statement to everybody each time.
   */
  readonly vitalsInterval: number
  /**
   * An intermittent member says that it is here this often, and is away when twice as much has passed in silence. Shorter shows sooner
   * that it is gone, for one statement to everybody each time, and wakes its radio more often.
   */
  readonly beat: number
}

/** Members on one network, with round trips of a few milliseconds. */
export function lan(): Profile {
  return {
    probeInterval: 1_000,
    probeTimeout: 300,
    relays: 2,
    knockTimeout: 500,
    unreachableGrace: 500,
    suspicionMult: 10,
    suspicionMaxMult: 3,
    refusedGrace: 700,
    syncInterval: 30_000,
    redialFirst: 1_000,
    redialLast: 65_000,
    unwantedGrace: 30_000,
    vitalsInterval: 1_000,
    beat: 60_000,
  }
}

/** Members across the internet: slower probes, longer patience. */
export function wan(): Profile {
  return {
    ...lan(),
    probeInterval: 5_000,
    probeTimeout: 1_500,
    knockTimeout: 3_000,
    unreachableGrace: 2_000,
    suspicionMult: 6,
    refusedGrace: 2_000,
    syncInterval: 60_000,
  }
}

/** All members on one machine, as in tests and demos. */
export function local(): Profile {
  return {
    ...lan(),
    probeTimeout: 200,
    knockTimeout: 400,
    suspicionMult: 5,
    refusedGrace: 500,
    syncInterval: 15_000,
    redialFirst: 250,
    redialLast: 5_000,
    unwantedGrace: 10_000,
    vitalsInterval: 200,
  }
}

export const PROFILES = { lan, wan, local } as const
