import type { EventsMachine, Kept } from '../../membership/index.ts'
import { FleetError } from '../../protocol/index.ts'
import type { UserEvent } from '../happenings.ts'

const AT_ONCE = 64

export interface Source {
  readonly buffer: EventsMachine['buffer']
  /** The newest cursor that is on disk: what is not may yet be different after a crash. */
  durable(): number
  /** Called when there may be more. */
  readonly listeners: Set<() => void>
  view(kept: Kept): UserEvent
}

/** Reads on from a cursor. Keeps no queue: the buffer of events is the queue, and a reader that falls behind it is told so. */
export async function* replay(
  source: Source,
  cursor: number | undefined,
  { follow }: { follow: boolean },
  signal: AbortSignal,
): AsyncGenerator<UserEvent> {
  const { buffer } = source
  if (cursor !== undefined && cursor > source.durable())
    throw new FleetError(
      'bad-input',
      `cursor ${cursor} is ahead of the newest event here, ${source.durable()}; each node counts its events by itself, so use a cursor that came from this one`,
      { detail: { cursor, newest: source.durable() } },
    )
  let at = cursor ?? buffer.oldest() - 1
  while (!signal.aborted) {
    if (at + 1 < buffer.oldest()) throw forgotten(at, buffer.oldest())
    const next = buffer.after(at, AT_ONCE).filter(kept => kept.cursor <= source.durable())
    for (const kept of next) {
      if (signal.aborted) return
      yield source.view(kept)
      at = kept.cursor
    }
    if (next.length > 0) continue
    if (!follow) return
    await more(source, at, signal)
  }
}

function more({ listeners, durable }: Source, at: number, signal: AbortSignal): Promise<void> {
  return new Promise(done => {
    const finish = (): void => {
      listeners.delete(finish)
      signal.removeEventListener('abort', finish)
      done()
    }
    listeners.add(finish)
    signal.addEventListener('abort', finish)
    if (signal.aborted || durable() > at) finish()
  })
}

function forgotten(cursor: number, oldest: number): FleetError {
  return new FleetError(
    'not-found',
    `the events right behind cursor ${cursor} are kept no more; the oldest that is has cursor ${oldest}: go on with --since ${oldest - 1}, and know that those between were missed`,
    { detail: { cursor, oldest } },
  )
}
