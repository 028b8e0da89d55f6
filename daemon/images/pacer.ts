import type { Millis } from '../../protocol/index.ts'
import { createPace, type PaceWant } from '../../rollout/index.ts'

/** How often it is looked whether somebody who waits may go on, though nothing came. Milliseconds. */
const TICK = 250

/** Lets senders send so much at a time that little waits in front of this node's link; all downloads share it. */
export interface Pacer {
  /** Senders need no leave. */
  readonly free: boolean
  lane(): Lane
  /** So many bytes came, of whatever; `busy`: more is waited for. */
  heard(bytes: number, busy: boolean): void
}

/** One sender. */
export interface Lane {
  /** Waits until some of so many bytes may be sent, and tells how many; 0 when leave is no longer needed. Rejects with the signal's reason when it is aborted. */
  take(bytes: number, signal: AbortSignal): Promise<number>
  /** So many of them came. */
  came(bytes: number): void
  /** It may send all that it was asked for, of which so many bytes have not come. */
  settled(awaited: number): void
}

export function createPacer(now: () => Millis): Pacer {
  const pace = createPace<Lane>()
  const waiting = new Map<Lane, Omit<PaceWant<Lane>, 'id'> & { readonly give: (bytes: number) => void }>()
  let timer: NodeJS.Timeout | undefined

  const serve = (lane: Lane, bytes: number): void => {
    const wait = waiting.get(lane)
    waiting.delete(lane)
    wait?.give(bytes)
  }
  const share = (): void => {
    if (pace.free(now())) for (const lane of [...waiting.keys()]) serve(lane, 0)
    const wants = [...waiting].map(([id, { since, bytes }]) => ({ id, since, bytes }))
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
        take: (bytes, signal) =>
          new Promise((resolve, reject) => {
            if (signal.aborted) return reject(signal.reason)
            const aborted = (): void => {
              waiting.delete(lane)
              reject(signal.reason)
            }
            since ??= now()
            waiting.set(lane, {
              since,
              bytes,
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
    heard: (bytes, busy) => pace.heard(now(), bytes, busy),
  }
}
