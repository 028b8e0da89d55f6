import { type Address, type Millis, millis, type NodeId, type Random } from '../protocol/index.ts'
import type { Profile } from './profiles.ts'

interface Attempt {
  failures: number
  nextAt: Millis
  underWay: boolean
}

export interface DialerInit {
  readonly self: NodeId
  readonly profile: Profile
  readonly random: Random
  /** Peers that the overlay wants a link to. */
  readonly wanted: () => ReadonlySet<NodeId>
  readonly addressesOf: (node: NodeId) => readonly Address[]
  /** Members that are failed, or known from an earlier life and not met yet. */
  readonly lost: () => readonly NodeId[]
  connect(peer: NodeId | undefined, addresses: readonly Address[]): void
  disconnect(peer: NodeId): void
}

export interface Dialer {
  wake(now: Millis): void
  nextAt(): Millis
  linkUp(now: Millis, peer: NodeId): void
  linkDown(now: Millis, peer: NodeId): void
  failed(now: Millis, peer: NodeId | undefined, addresses: readonly Address[]): void
  /** Addresses to try until somebody answers there. */
  seek(now: Millis, peer: NodeId | undefined, addresses: readonly Address[]): void
  linked(peer: NodeId): boolean
  links(): ReadonlySet<NodeId>
}

/** How often it looks at what is wanted and what is there. Milliseconds. */
const LOOK = 1_000
/** The end with the greater id lets the other begin, so that both do not dial at once; then it dials all the same. */
const POLITE = 400

/**
 * Which connections to make and to give up. Wanted neighbours are dialled with backoff; one lost member at a time is tried
 * for as long as it is known, so that a partition of any length heals; with no link at all every address that was ever known is tried.
 */
export function createDialer(init: DialerInit, start: Millis): Dialer {
  const { self, profile, random } = init
  const links = new Set<NodeId>()
  /** Links that this end made: only it gives them up. */
  const ours = new Set<NodeId>()
  const unwantedSince = new Map<NodeId, Millis>()
  const attempts = new Map<NodeId, Attempt>()
  const sought = new Map<string, Attempt & { peer: NodeId | undefined; addresses: readonly Address[] }>()
  let lookAt = start
  let reviveAt = millis(start + random.int(profile.reviveInterval))

  const wait = (failures: number): number => {
    const full = Math.min(profile.redialLast, profile.redialFirst * 2 ** Math.min(failures, 12))
    return full / 2 + random.int(Math.ceil(full / 2) + 1)
  }
  const dial = (now: Millis, peer: NodeId, attempt: Attempt): void => {
    const addresses = init.addressesOf(peer)
    attempt.nextAt = millis(now + LOOK)
    if (addresses.length === 0) return
    attempt.underWay = true
    init.connect(peer, addresses)
  }

  const look = (now: Millis): void => {
    const wanted = init.wanted()
    for (const peer of wanted) {
      if (links.has(peer)) continue
      let attempt = attempts.get(peer)
      if (attempt === undefined) {
        attempt = {
          failures: 0,
          nextAt: self < peer ? now : millis(now + POLITE + random.int(POLITE)),
          underWay: false,
        }
        attempts.set(peer, attempt)
      }
      if (!attempt.underWay && now >= attempt.nextAt) dial(now, peer, attempt)
    }
    for (const [peer, attempt] of attempts)
      if (!attempt.underWay && (links.has(peer) || !wanted.has(peer))) attempts.delete(peer)
    for (const peer of ours) {
      if (wanted.has(peer) || !links.has(peer)) {
        unwantedSince.delete(peer)
        continue
      }
      const since = unwantedSince.get(peer) ?? now
      unwantedSince.set(peer, since)
      if (now - since >= profile.unwantedGrace) {
        unwantedSince.delete(peer)
        init.disconnect(peer)
      }
    }
    for (const [name, seek] of sought) {
      if (seek.peer !== undefined && links.has(seek.peer)) sought.delete(name)
      else if (!seek.underWay && now >= seek.nextAt) {
        seek.underWay = true
        init.connect(seek.peer, seek.addresses)
      }
    }
    lookAt = millis(now + LOOK)
  }

  const revive = (now: Millis): void => {
    const lost = init.lost().filter(peer => !links.has(peer) && attempts.get(peer)?.underWay !== true)
    // Alone, it tries several at once: any of them is the way back.
    const tries = links.size === 0 ? 3 : 1
    for (const peer of random.shuffle(lost).slice(0, tries)) {
      const attempt = attempts.get(peer) ?? { failures: 0, nextAt: now, underWay: false }
      attempts.set(peer, attempt)
      dial(now, peer, attempt)
    }
    const pause = links.size === 0 ? Math.min(1_000, profile.reviveInterval) : profile.reviveInterval
    reviveAt = millis(now + pause / 2 + random.int(pause))
  }

  const earliest = (): Millis => {
    let at: number = lookAt
    for (const attempt of attempts.values()) if (!attempt.underWay && attempt.nextAt < at) at = attempt.nextAt
    for (const seek of sought.values()) if (!seek.underWay && seek.nextAt < at) at = seek.nextAt
    return millis(at)
  }

  return {
    links: () => links,
    linked: peer => links.has(peer),
    wake(now) {
      if (now >= earliest()) look(now)
      if (now >= reviveAt) revive(now)
    },
    nextAt: () => millis(Math.min(earliest(), reviveAt)),
    linkUp(now, peer) {
      links.add(peer)
      const attempt = attempts.get(peer)
      if (attempt?.underWay === true) ours.add(peer)
      attempts.delete(peer)
      for (const [name, seek] of sought) {
        if (seek.underWay && (seek.peer === peer || seek.peer === undefined)) {
          ours.add(peer)
          sought.delete(name)
        }
      }
      lookAt = now
    },
    linkDown(now, peer) {
      links.delete(peer)
      ours.delete(peer)
      unwantedSince.delete(peer)
      // Its process may be gone: the answer to a redial says so at once.
      if (init.wanted().has(peer))
        attempts.set(peer, { failures: 0, nextAt: millis(now + random.int(50)), underWay: false })
      if (links.size === 0) reviveAt = now
      lookAt = millis(Math.min(lookAt, now + 50))
    },
    failed(now, peer, addresses) {
      const attempt = peer === undefined ? undefined : attempts.get(peer)
      if (attempt !== undefined) {
        attempt.underWay = false
        attempt.nextAt = millis(now + wait(attempt.failures))
        attempt.failures += 1
        lookAt = millis(Math.min(lookAt, attempt.nextAt))
      }
      const seek = sought.get(addresses.join(' '))
      if (seek !== undefined) {
        seek.underWay = false
        seek.nextAt = millis(now + wait(seek.failures))
        seek.failures += 1
        lookAt = millis(Math.min(lookAt, seek.nextAt))
      }
    },
    seek(now, peer, addresses) {
      const name = addresses.join(' ')
      if (name === '' || sought.has(name) || (peer !== undefined && links.has(peer))) return
      sought.set(name, { peer, addresses, failures: 0, nextAt: now, underWay: false })
      lookAt = now
    },
  }
}
