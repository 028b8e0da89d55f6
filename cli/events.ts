import { FleetError } from '../protocol/errors.ts'

export interface ServerEvent {
  readonly event: string
  readonly data: string
}

/** Bounds what one event can make us buffer. */
const MAX_EVENT = 16 * 1024 * 1024

/** The events of a `text/event-stream` (HTML standard, 9.2.6), as far as the daemon uses it. */
export async function* eventsOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let event = 'message'
  let data: string[] = []
  for await (const part of stream) {
    rest += decoder.decode(part, { stream: true })
    if (rest.length > MAX_EVENT) throw new FleetError('too-large', 'the daemon sent an event that is too large')
    const lines = rest.split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event, data: data.join('\n') }
        event = 'message'
        data = []
      } else if (line.startsWith('event: ')) event = line.slice('event: '.length)
      else if (line.startsWith('data: ')) data.push(line.slice('data: '.length))
    }
  }
}
