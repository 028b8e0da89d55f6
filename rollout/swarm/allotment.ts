import type { Millis } from '../../protocol/index.ts'

/** What may pass in one direction, in bytes a second; nothing said is no limit. */
export interface RateLimits {
  readonly total?: number | undefined
  /** To, or from, members of a zone, by its name. */
  readonly zones: Readonly<Record<string, number>>
}

/** Bytes that may pass a metered link within each window of `window` milliseconds; windows begin at multiples of their length since 1970. */
export interface ByteBudget {
  readonly bytes: number
  readonly window: number
}

/** Somebody who has bytes to pass on, in the order of whose turn it is. */
export interface Want<Id> {
  readonly id: Id
  readonly zone: string
  /** What passes is paid for: it counts against the budget. */
  readonly metered: boolean
  readonly bytes: number
}

/** How much may gather while nobody wants anything, beside a quantum: with what comes in within a second that stays below 1.1 times the limit. Seconds. */
const BURST = 0.04
/** The least that somebody is given at a time, unless it wants less: fewer bytes would not be worth a message. It is part of the tenth too, down to LIMITS.lowestRate. Bytes. */
const QUANTUM = 512

/** What was used of a budget, for a disk that remembers it. */
export interface Spending {
  /** The window, counted from 1970. */
  readonly window: number
  readonly bytes: number
}

/** A byte budget that several directions spend from. */
export interface Purse {
  /** What is left of the budget; all there is where there is none. */
  left(budget: ByteBudget | undefined, now: Millis): number
  spend(bytes: number): void
  spent(): Spending
}

/** `before`: what a former process has spent. */
export function createPurse(before: Spending = { window: -1, bytes: 0 }): Purse {
  let { window, bytes } = before
  return {
    left(budget, now) {
      if (budget === undefined) return Number.POSITIVE_INFINITY
      const current = Math.floor(now / budget.window)
      if (current !== window) {
        window = current
        bytes = 0
      }
      return Math.max(0, budget.bytes - bytes)
    },
    spend(more) {
      bytes += more
    },
    spent: () => ({ window, bytes }),
  }
}

/** Shares out what may pass in one direction now. */
export interface Allotment {
  /**
   * How many bytes each of `wants` may pass now: never more than it wants, and of all calls within any second never more than 1.1 times
   * each limit. Who wants little has it before who wants much has more. `left`: of the budget, for what is metered.
   */
  allot<Id>(now: Millis, limits: RateLimits, wants: readonly Want<Id>[], left: number): Map<Id, number>
}

interface Bucket {
  tokens: number
  at: Millis
}

/** Token buckets, one for all and one for each zone that has a limit; a limit that changes counts from the moment at which it is first given. */
export function createAllotment(): Allotment {
  const buckets = new Map<string, Bucket>()
  const total = Symbol('total') as unknown as string

  const filled = (name: string, rate: number, now: Millis): Bucket => {
    const most = QUANTUM + rate * BURST
    let bucket = buckets.get(name)
    if (bucket === undefined) {
      bucket = { tokens: 0, at: now }
      buckets.set(name, bucket)
    }
    const passed = Math.max(0, now - bucket.at) / 1000
    bucket.tokens = Math.min(most, bucket.tokens + passed * rate)
    bucket.at = now
    return bucket
  }

  return {
    allot(now, limits, wants, left) {
      const given = new Map<(typeof wants)[number]['id'], number>()
      const all = limits.total === undefined ? undefined : filled(total, limits.total, now)
      const ofZone = new Map(
        Object.entries(limits.zones).map(([zone, rate]) => [zone, filled(`zone ${zone}`, rate, now)]),
      )
      for (const name of buckets.keys())
        if (name === total ? all === undefined : !ofZone.has(name.slice('zone '.length))) buckets.delete(name)

      let budget = left
      const roomFor = ({ zone, metered }: Want<unknown>): number =>
        Math.floor(
          Math.min(
            all?.tokens ?? Number.POSITIVE_INFINITY,
            ofZone.get(zone)?.tokens ?? Number.POSITIVE_INFINITY,
            metered ? budget : Number.POSITIVE_INFINITY,
          ),
        )
      const give = (want: Want<unknown>, bytes: number): void => {
        if (all !== undefined) all.tokens -= bytes
        const bucket = ofZone.get(want.zone)
        if (bucket !== undefined) bucket.tokens -= bytes
        if (want.metered) budget -= bytes
      }
      // Equal shares, and what some leave of theirs in equal shares again, until nobody can be given a quantum.
      let open = wants.filter(({ bytes }) => bytes > 0)
      while (open.length > 0) {
        const still: typeof open = []
        for (const [at, want] of open.entries()) {
          const had = given.get(want.id) ?? 0
          const lacks = want.bytes - had
          const room = roomFor(want)
          const least = Math.min(lacks, QUANTUM)
          if (room < least) continue
          const share = Math.min(lacks, Math.max(least, Math.floor(room / (open.length - at))))
          give(want, share)
          given.set(want.id, had + share)
          if (share < lacks) still.push(want)
        }
        if (still.length === open.length && still.every(want => roomFor(want) < QUANTUM)) break
        open = still
      }
      return given
    },
  }
}
