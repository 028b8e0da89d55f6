import { type Monitored, toDocument } from '../protocol/index.ts'
import type { Happening, Happenings } from './happenings.ts'
import type { LogLevel, LogTap } from './log.ts'

/** Tells the log at this level, and everything that happens, until the signal aborts. */
export function monitor(
  tap: LogTap,
  happenings: Happenings,
  level: LogLevel,
  update: (seen: Monitored) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise(done => {
    const ends = [
      tap.listen(level, line => update({ type: 'log', ...line })),
      happenings.listen(happening => update(seenAs(happening))),
    ]
    const end = (): void => {
      for (const each of ends) each()
      done()
    }
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}

function seenAs(happening: Happening): Monitored {
  switch (happening.type) {
    case 'members':
      return {
        type: 'members',
        event: happening.event,
        members: happening.members.map(({ id, name, addresses, status, group, zone, tags }) => ({
          id,
          name,
          addrs: addresses,
          status,
          group,
          zone,
          tags: { ...tags },
        })),
      }
    case 'event': {
      const { event } = happening
      return { type: 'event', ...event, payload: toDocument(event.payload) }
    }
    case 'query': {
      const { id, ltime, asker, name, payload, deadline } = happening.query
      return { type: 'query', id, ltime, asker, name, payload: toDocument(payload), deadline }
    }
    default:
      return happening satisfies never
  }
}
