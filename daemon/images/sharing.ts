import { FleetError } from '../../protocol/index.ts'

/** Work that several callers want is done once, for as long as one of them wants it. */
export interface Sharing<Result, Progress> {
  /** `what` names the work. Rejects with `timeout` when the caller's signal is aborted; the last one to lose interest ends it. */
  share(
    what: string,
    signal: AbortSignal,
    onProgress: ((progress: Progress) => void) | undefined,
    begin: (tell: (progress: Progress) => void, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result>
  /** Resolves once nothing is under way. */
  settled(): Promise<void>
}

interface Shared<Result, Progress> {
  readonly promise: Promise<Result>
  readonly abort: AbortController
  readonly listeners: Set<(progress: Progress) => void>
  users: number
}

/** `stopping` ends all of it. */
export function createSharing<Result, Progress>(stopping: AbortSignal): Sharing<Result, Progress> {
  const underWay = new Map<string, Shared<Result, Progress>>()
  return {
    share(what, signal, onProgress, begin) {
      let running = underWay.get(what)
      if (running === undefined) {
        const abort = new AbortController()
        const listeners: Shared<Result, Progress>['listeners'] = new Set()
        const tell = (progress: Progress): void => {
          for (const listener of listeners) listener(progress)
        }
        const promise = begin(tell, AbortSignal.any([abort.signal, stopping])).finally(() => {
          if (underWay.get(what)?.promise === promise) underWay.delete(what)
        })
        promise.catch(() => undefined) // each caller has its own copy of the outcome
        running = { promise, abort, listeners, users: 0 }
        underWay.set(what, running)
      }
      const mine = running
      mine.users += 1
      if (onProgress !== undefined) mine.listeners.add(onProgress)
      return untilAborted(mine.promise, signal).finally(() => {
        mine.users -= 1
        if (onProgress !== undefined) mine.listeners.delete(onProgress)
        if (mine.users > 0) return
        mine.abort.abort()
        if (underWay.get(what) === mine) underWay.delete(what)
      })
    },
    async settled() {
      await Promise.allSettled([...underWay.values()].map(({ promise }) => promise))
    },
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(new FleetError('timeout', 'cancelled; what has arrived is kept'))
    if (signal.aborted) return aborted()
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
