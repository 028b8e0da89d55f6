import { type Address, type Millis, millis, type NodeId, type Random } from '../protocol/index.ts'
import type { Profile } from './profiles.ts'

/** The end with the greater id lets the other begin, so that both do not dial at once; then it dials all the same. Milliseconds. */
const POLITE = 300
/** A link that broke sooner than this has not shown that it works, so the next attempt backs off. Milliseconds. */
const SETTLED = 10_000
/** Attempts under way at once, and lost peers that are called at a time. */
const MAX_DIALS = 16
const MAX_LOST = 32
/** How often the choice among more lost peers than that is made anew. Milliseconds. */
const CHOOSE_AGAIN = 10_000
/** An attempt that nobody reported on in this time has failed. Milliseconds. */
const GIVE_UP = 30_000
/** Addresses to be sought at once, and how often one is tried that was only seen on the LAN. */
const MAX_SOUGHT = 64
const SEEN_TRIES = 5
/** How lately a link must have broken for a refused redial to mean that the process has just died. Milliseconds. */
const LATELY = 15_000

interface Attempt {
  failures: number
  nextAt: Millis
  /** Since when an attempt is under way. */
  dialling: Millis | undefined
}

interface Link {
  readonly since: Millis
  unwantedSince: Millis | undefined
}

/** An address at which a member should be. */
interface Sought extends Attempt {
  readonly peer: NodeId | undefined
  readonly addresses: readonly Address[]
  /** Somebody answered. From then on it is only tried when there is no other way to anybody. */
  answered: boolean
}

export interface RedialInit {
  readonly self: NodeId
  readonly profile: Profile
  readonly random: Random
  /** Peers that the overlay wants a link to. The same set until that changes. */
  readonly wanted: () => ReadonlySet<NodeId>
  /** The lost peers that are ours to keep calling. */
  readonly lost: () => readonly NodeId[]
  /** Differs when `wanted` or `lost` may have changed. */
  readonly version: () => number
  readonly addressesOf: (node: NodeId) => readonly Address[]
  /** A link that the other end may want though we do not. */
  readonly keep: (node: NodeId) => boolean
  /** No link leads to the fleet. */
  readonly cutOff: () => boolean
  connect(peer: NodeId | undefined, addresses: readonly Address[]): void
  disconnect(peer: NodeId): void
}

export interface Redial {
  wake(now: Millis): void
  nextAt(): number
  linkUp(now: Millis, peer: NodeId): void
  linkDown(now: Millis, peer: NodeId): void
  failed(now: Millis, peer: NodeId | undefined, addresses: readonly Address[]): void
  /** Addresses to try until somebody answers there, and again whenever no link leads to the fleet. */
  seek(now: Millis, peer: NodeId | undefined, addresses: readonly Address[]): void
  /** New addresses, or a sign that it is back: what was learned from failures is void. */
  retry(now: Millis, peer: NodeId): void
  /** This host is on another network, or on one again: what was learned from failures is void for all. */
  retryAll(now: Millis): void
  linked(peer: NodeId): boolean
  /** True when a link to this peer broke just now. */
  lostLately(now: Millis, peer: NodeId): boolean
  links(): ReadonlyMap<NodeId, unknown>
}

/**
 * Which connections to make and to give up. Wanted neighbours are dialled with backoff, and so are the lost that would be
 * neighbours, for as long as their addresses are known: a partition of any length heals within `redialLast`.
 */
export function createRedial(init: RedialInit, start: Millis): Redial {
  const { self, profile, random } = init
  const links = new Map<NodeId, Link>()
  const attempts = new Map<NodeId, Attempt>()
  const sought = new Map<string, Sought>()
  const brokeAt = new Map<NodeId, Millis>()
  let targets: ReadonlySet<NodeId> = new Set()
  let seenVersion = -1
  let chosenUntil = Number.POSITIVE_INFINITY
  let nextAt: number = start

  const backoff = (failures: number): number => {
    const full = Math.min(profile.redialLast, profile.redialFirst * 2 ** Math.min(failures, 16))
    return full / 2 + random.int(Math.ceil(full / 2) + 1)
  }
  const soon = (at: number): void => {
    nextAt = Math.min(nextAt, at)
  }
  const retarget = (now: Millis): void => {
    if (seenVersion === init.version() && now < chosenUntil) return
    seenVersion = init.version()
    const wanted = init.wanted()
    const lost = init.lost()
    chosenUntil = lost.length > MAX_LOST ? now + CHOOSE_AGAIN : Number.POSITIVE_INFINITY
    targets = new Set([...wanted, ...random.shuffle(lost).slice(0, MAX_LOST)])
    for (const peer of targets) {
      if (attempts.has(peer) || links.has(peer)) continue
      const wait = !wanted.has(peer) ? random.int(profile.redialFirst) : self < peer ? 0 : POLITE + random.int(POLITE)
      attempts.set(peer, { failures: 0, nextAt: millis(now + wait), dialling: undefined })
    }
    for (const [peer, attempt] of attempts)
      if (!targets.has(peer) && attempt.dialling === undefined) attempts.delete(peer)
    for (const [peer, link] of links) {
      if (wanted.has(peer) || init.keep(peer)) link.unwantedSince = undefined
      else link.unwantedSince ??= now
    }
  }
  const failedAttempt = (now: Millis, attempt: Attempt): void => {
    attempt.dialling = undefined
    attempt.nextAt = millis(now + backoff(attempt.failures))
    attempt.failures += 1
    soon(attempt.nextAt)
  }
  const resting = (seek: Sought): boolean =>
    !init.cutOff() && (seek.answered || (seek.peer !== undefined && links.has(seek.peer)))

  /** Starts the attempts that are due, and says when the next one is. */
  const dial = (now: Millis): void => {
    let under = 0
    for (const attempt of [...attempts.values(), ...sought.values()]) {
      if (attempt.dialling === undefined) continue
      if (now - attempt.dialling >= GIVE_UP) failedAttempt(now, attempt)
      else {
        under += 1
        soon(attempt.dialling + GIVE_UP)
      }
    }
    const begin = (attempt: Attempt, peer: NodeId | undefined, addresses: readonly Address[]): void => {
      if (now < attempt.nextAt || under >= MAX_DIALS) return soon(Math.max(attempt.nextAt, now + 100))
      if (addresses.length === 0) return failedAttempt(now, attempt)
      attempt.dialling = now
      under += 1
      soon(now + GIVE_UP)
      init.connect(peer, addresses)
    }
    for (const [peer, attempt] of attempts)
      if (attempt.dialling === undefined && targets.has(peer)) begin(attempt, peer, init.addressesOf(peer))
    for (const [name, seek] of sought) {
      if (seek.dialling !== undefined || resting(seek)) continue
      if (seek.peer !== undefined && seek.failures >= SEEN_TRIES) sought.delete(name)
      else begin(seek, seek.peer, seek.addresses)
    }
  }
  const prune = (now: Millis): void => {
    for (const [peer, link] of links) {
      if (link.unwantedSince === undefined) continue
      if (now - link.unwantedSince < profile.unwantedGrace) {
        soon(link.unwantedSince + profile.unwantedGrace)
        continue
      }
      link.unwantedSince = now
      init.disconnect(peer)
    }
    for (const [peer, at] of brokeAt) if (now - at > LATELY) brokeAt.delete(peer)
  }

  const retry = (now: Millis, attempt: Attempt): void => {
    if (attempt.dialling !== undefined) return
    attempt.failures = 0
    attempt.nextAt = millis(Math.min(attempt.nextAt, now + random.int(profile.redialFirst)))
    soon(attempt.nextAt)
  }

  return {
    links: () => links,
    linked: peer => links.has(peer),
    lostLately: (now, peer) => now - (brokeAt.get(peer) ?? Number.NEGATIVE_INFINITY) <= LATELY,
    wake(now) {
      if (seenVersion !== init.version()) soon(now)
      if (now < nextAt) return
      nextAt = chosenUntil
      retarget(now)
      nextAt = chosenUntil
      dial(now)
      prune(now)
    },
    nextAt: () => (seenVersion === init.version() ? nextAt : 0),
    linkUp(now, peer) {
      if (links.has(peer)) return
      const unwanted = !init.wanted().has(peer) && !init.keep(peer)
      links.set(peer, { since: now, unwantedSince: unwanted ? now : undefined })
      if (unwanted) soon(now + profile.unwantedGrace)
      const attempt = attempts.get(peer)
      if (attempt !== undefined) attempt.dialling = undefined
      attempts.delete(peer)
      for (const seek of sought.values()) {
        // Which address answered is not told: one that did not will yet be reported as failed.
        if (seek.peer === peer || (seek.peer === undefined && seek.dialling !== undefined)) {
          seek.dialling = undefined
          seek.answered = true
          seek.failures = 0
        }
      }
    },
    linkDown(now, peer) {
      const link = links.get(peer)
      if (link === undefined) return
      links.delete(peer)
      brokeAt.set(peer, now)
      if (targets.has(peer)) {
        // Its process may be gone, and the answer to a redial says so at once. But a link that never holds is not hurried.
        const flaps = now - link.since < SETTLED
        const wait = flaps ? backoff(0) / 2 : self < peer ? random.int(50) : POLITE / 2 + random.int(POLITE / 2)
        attempts.set(peer, { failures: flaps ? 1 : 0, nextAt: millis(now + wait), dialling: undefined })
        soon(now + wait)
      }
      if (init.cutOff()) soon(now)
    },
    failed(now, peer, addresses) {
      const attempt = peer === undefined ? undefined : attempts.get(peer)
      if (attempt !== undefined) failedAttempt(now, attempt)
      const seek = sought.get(addresses.join(' '))
      if (seek === undefined) return
      seek.answered = false
      failedAttempt(now, seek)
    },
    seek(now, peer, addresses) {
      const name = addresses.join(' ')
      if (name === '' || (peer !== undefined && links.has(peer))) return
      if (sought.has(name) || sought.size >= MAX_SOUGHT) return
      sought.set(name, { peer, addresses, answered: false, failures: 0, nextAt: now, dialling: undefined })
      soon(now)
    },
    retry(now, peer) {
      const attempt = attempts.get(peer)
      if (attempt !== undefined) retry(now, attempt)
    },
    retryAll(now) {
      for (const attempt of [...attempts.values(), ...sought.values()]) retry(now, attempt)
    },
  }
}
