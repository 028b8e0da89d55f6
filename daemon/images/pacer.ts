import type { Millis } from '../../protocol/index.ts'
import { createPace, type PaceWant } from '../../rollout/index.ts'

/** How often it is looked whether somebody who waits may go on, though nothing came. Milliseconds. */
const TICK = 250

/** Lets senders send so much at a time that little waits in front of this node's link; all downloads share it. */
export interface Pacer {
  /** Senders need no leave. */
  readonly free: boolean
  lane(): Lane
  /** So many bytes came to one of the downloads, of whatever; `busy`: it waits for more. */
  heard(download: object, bytes: number, busy: boolean): void
}

/** One sender. */
export interface Lane {
  /** Waits until some of so many bytes may be sent, and tells how many; 0 when leave is no longer needed, or nothing is wanted any more. Rejects with the signal's reason when it is aborted. */
  take(wanted: () => number, signal: AbortSignal): Promise<number>
  /** So many of them came. */
  came(bytes: number): void
  /** It may send all that it was asked for, of which so many bytes have not come. */
  settled(awaited: number): void
}

export function createPacer(now: () => Millis): Pacer {
  const pace = createPace<Lane>()
  const waiting = new Map<
    Lane,
    { readonly since: Millis; readonly wanted: () => number; readonly give: (bytes: number) => void }
  >()
  const busyOnes = new Set<object>()
  let timer: NodeJS.Timeout | undefined

  const serve = (lane: Lane, bytes: number): void => {
    const wait = waiting.get(lane)
    waiting.delete(lane)
    wait?.give(bytes)
  }
  const share = (): void => {
    // A chunk may have come packed, or from somebody else, since it was asked for.
    for (const [lane, { wanted }] of [...waiting]) if (pace.free(now()) || wanted() <= 0) serve(lane, 0)
    const wants = [...waiting].map(([id, { since, wanted }]): PaceWant<Lane> => ({ id, since, bytes: wanted() }))
    for (const [lane, bytes] of pace.grant(now(), wants)) serve(lane, bytes)
    if (waiting.size > 0) timer ??= setInterval(share, TICK)
    else {
      clearInterval(timer)
      timer = undefined
    }
  }

  return {
    get free() {
      return pace.free(now())
    },
    lane() {
      /** Since when something is wanted of it. */
      let since: Millis | undefined
      const lane: Lane = {
        take: (wanted, signal) =>
          new Promise((resolve, reject) => {
            if (signal.aborted) return reject(signal.reason)
            const aborted = (): void => {
              waiting.delete(lane)
              reject(signal.reason)
            }
            since ??= now()
            waiting.set(lane, {
              since,
              wanted,
              give(given) {
                signal.removeEventListener('abort', aborted)
                resolve(given)
              },
            })
            signal.addEventListener('abort', aborted, { once: true })
            share()
          }),
        came(bytes) {
          pace.came(now(), lane, bytes)
          share()
        },
        settled(awaited) {
          since = undefined
          if (awaited > 0) return
          pace.settled(lane)
          share()
        },
      }
      return lane
    },
    heard(download, bytes, busy) {
      if (busy) busyOnes.add(download)
      else busyOnes.delete(download)
      pace.heard(now(), bytes, busyOnes.size > 0)
    },
  }
}
