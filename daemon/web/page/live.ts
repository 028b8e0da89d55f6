import { useEffect, useState } from 'preact/hooks'
import type { MembersChange } from '../../../protocol/index.ts'
import { createFleetReader, type Fleet, NOBODY } from './fleet.ts'

/** How long after a refusal it is tried again. Milliseconds. */
const RETRY = 3_000

export type Connection = 'connecting' | 'live' | 'lost'

/**
 * Follows a stream until `stop`; `open` is called with every connection. While nobody looks at the page it is closed: a browser has
 * six connections to a server, and a forgotten tab needs none of them.
 */
export function follow<U>(
  path: string,
  on: { open(): void; update(update: U): void; lost(): void; problem?(detail: string): void },
): () => void {
  let source: EventSource | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  const close = (): void => {
    clearTimeout(retry)
    source?.close()
    source = undefined
  }
  const connect = (): void => {
    close()
    const mine = new EventSource(path)
    source = mine
    mine.addEventListener('open', () => on.open())
    mine.addEventListener('update', event => on.update(JSON.parse((event as MessageEvent<string>).data) as U))
    mine.addEventListener('problem', event => {
      on.problem?.((JSON.parse((event as MessageEvent<string>).data) as { detail: string }).detail)
      close()
      retry = setTimeout(connect, RETRY)
    })
    mine.addEventListener('error', () => {
      on.lost()
      // The browser itself tries a connection again that broke, and gives one up that was refused.
      if (mine.readyState === EventSource.CLOSED && mine === source) retry = setTimeout(connect, RETRY)
    })
  }
  const look = (): void => {
    if (document.hidden) close()
    else if (source === undefined) connect()
  }
  document.addEventListener('visibilitychange', look)
  look()
  return () => {
    document.removeEventListener('visibilitychange', look)
    close()
  }
}

/** The members, live. */
export function useFleet(): { fleet: Fleet; connection: Connection } {
  const [fleet, setFleet] = useState<Fleet>(NOBODY)
  const [connection, setConnection] = useState<Connection>('connecting')
  useEffect(() => {
    let read = createFleetReader()
    return follow<MembersChange>('v1/members/watch', {
      open() {
        read = createFleetReader()
        setConnection('live')
      },
      update(change) {
        const next = read(change)
        if (next !== undefined) setFleet(next)
      },
      lost: () => setConnection('lost'),
    })
  }, [])
  return { fleet, connection }
}

export type Answer<T> =
  | { readonly state: 'asking' }
  | { readonly state: 'answered'; readonly value: T }
  | { readonly state: 'refused'; readonly reason: string }

/** What `path` answers, asked again every so many milliseconds while somebody looks. A refusal keeps its sentence. */
export function useAnswer<T>(path: string, everyMs: number): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ state: 'asking' })
  useEffect(() => {
    setAnswer({ state: 'asking' })
    const gone = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async (): Promise<void> => {
      if (!document.hidden) {
        const next = await askOnce<T>(path, gone.signal)
        if (gone.signal.aborted) return
        setAnswer(next)
      }
      timer = setTimeout(ask, everyMs)
    }
    void ask()
    return () => {
      gone.abort()
      clearTimeout(timer)
    }
  }, [path, everyMs])
  return answer
}

async function askOnce<T>(path: string, signal: AbortSignal): Promise<Answer<T>> {
  try {
    const response = await fetch(path, { signal })
    const body = (await response.json()) as T & { detail?: string }
    if (response.ok) return { state: 'answered', value: body }
    return { state: 'refused', reason: body.detail ?? `status ${response.status}` }
  } catch {
    return { state: 'refused', reason: 'the daemon does not answer' }
  }
}

/** The present time, moving on every second, for ages. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return now
}
