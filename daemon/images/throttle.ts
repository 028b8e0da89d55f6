import type { Millis, NodeId } from '../../protocol/index.ts'
import { type Allotment, type ByteBudget, createAllotment, type Purse, type RateLimits } from '../../rollout/index.ts'
import { onTheWire, payloadOf } from './overhead.ts'

/** How often waiting bytes are shared out. Milliseconds. */
const TICK = 25

/** The limits of one direction. */
export interface ThrottleLimits extends RateLimits {
  /** Of what passes to and from other zones, in both directions together. */
  readonly budget: ByteBudget | undefined
}

export interface ThrottleInit {
  /** This node's own zone: what passes to and from another one counts against the budget. */
  readonly zone: () => string
  readonly zoneOf: (peer: NodeId) => string
  /** Asked each time: a change counts at once. */
  readonly limits: () => ThrottleLimits
  readonly purse: Purse
  /** Milliseconds since 1970, by a clock that does not jump. */
  readonly now: () => Millis
}

/** Lets bytes pass in one direction as the limits allow, and shares what there is between those who wait. */
export interface Throttle {
  /** Whether any limit applies to what passes to, or from, this peer. */
  limits(peer: NodeId): boolean
  /** Waits until some of so many bytes may pass, with what they take on the network besides, and tells how many. Rejects with the signal's reason when it is aborted. */
  take(peer: NodeId, bytes: number, signal: AbortSignal): Promise<number>
}

interface Waiting {
  readonly peer: NodeId
  /** On the wire. */
  readonly bytes: number
  readonly give: (bytes: number) => void
}

export function createThrottle(init: ThrottleInit): Throttle {
  const allotment: Allotment = createAllotment()
  /** In the order in which they came: who was given something and wants more comes after all others. */
  const waiting = new Set<Waiting>()
  let timer: NodeJS.Timeout | undefined

  const isMetered = (peer: NodeId): boolean => init.zoneOf(peer) !== init.zone()
  const isLimited = (peer: NodeId): boolean => {
    const { total, zones, budget } = init.limits()
    if (total !== undefined) return true
    // Asked for each chunk: which zone a peer is in is only found out where that matters.
    for (const _ in zones) if (zones[init.zoneOf(peer)] !== undefined) return true
    return budget !== undefined && isMetered(peer)
  }
  const share = (): void => {
    const limits = init.limits()
    const wants = [...waiting].map(each => ({
      id: each,
      zone: init.zoneOf(each.peer),
      metered: isMetered(each.peer),
      bytes: each.bytes,
    }))
    const left = init.purse.left(limits.budget, init.now())
    for (const [each, bytes] of allotment.allot(init.now(), limits, wants, left)) {
      if (isMetered(each.peer)) init.purse.spend(bytes)
      waiting.delete(each)
      each.give(bytes)
    }
    if (waiting.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    limits: isLimited,
    take(peer, bytes, signal) {
      if (!isLimited(peer)) return Promise.resolve(bytes)
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const aborted = (): void => {
          waiting.delete(mine)
          reject(signal.reason)
        }
        const mine: Waiting = {
          peer,
          bytes: onTheWire(bytes),
          give(given) {
            signal.removeEventListener('abort', aborted)
            resolve(Math.min(bytes, Math.max(1, payloadOf(given))))
          },
        }
        signal.addEventListener('abort', aborted, { once: true })
        waiting.add(mine)
        timer ??= setInterval(share, TICK)
      })
    },
  }
}
