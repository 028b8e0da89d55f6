import * as z from 'zod'
import type { LogLevel, LogLine } from '../backend.ts'
import { counter, flag, payload, text } from '../codec.ts'
import { lets, parseFilters, recordOf } from '../happenings.ts'
import { SERF_LIMITS } from '../limits.ts'
import { TEXTS } from '../texts.ts'
import { type Command, command } from './command.ts'

export const event: Command = command(
  z.object({ Name: text, Payload: payload, Coalesce: flag }),
  async ({ Name, Payload, Coalesce }, { backend }) => {
    await backend.fire({ name: Name, payload: Payload, coalesce: Coalesce })
    return {}
  },
)

export const stream: Command = command(z.object({ Type: text }), ({ Type }, client, seq) => {
  const filters = parseFilters(Type)
  if (filters === undefined) return { error: TEXTS.invalidFilter }
  if (client.streams.has(seq)) return { error: TEXTS.streamExists }
  if (client.streams.size >= SERF_LIMITS.streams)
    return { error: `a client may have ${SERF_LIMITS.streams} streams; stop one first` }
  const { backend, pending } = client
  client.streams.set(seq, () => undefined) // taken, until the reply is on its way
  return {
    after() {
      const end = backend.listen(happening => {
        if (lets(filters, happening))
          client.send(
            seq,
            recordOf(happening, query => pending.add(query, backend.now())),
          )
      })
      client.streams.set(seq, end)
    },
  }
})

/** Serf's names of levels, in our words. */
const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ['TRACE', 'trace'],
  ['DEBUG', 'debug'],
  ['INFO', 'info'],
  ['WARN', 'warn'],
  ['ERR', 'error'],
])
const NAMES = new Map<string, string>([...LEVELS].map(([name, level]) => [level, name]))

export const monitor: Command = command(z.object({ LogLevel: text }), (body, client, seq) => {
  const name = body.LogLevel.toUpperCase()
  const level = LEVELS.get(name)
  if (level === undefined) return { error: `Unknown log level: ${name.slice(0, 32)}` }
  if (client.monitor !== undefined) return { error: TEXTS.monitorExists }
  client.monitor = { seq, end: () => undefined }
  return {
    after() {
      const end = client.backend.logs(level, line => client.send(seq, { Log: lineOf(line) }))
      client.monitor = { seq, end }
    },
  }
})

/** As Go's log package writes it: `2006/01/02 15:04:05 [INFO] fleetd: ...`. */
export function lineOf({ at, level, message }: LogLine): string {
  const when = new Date(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${when.getFullYear()}/${two(when.getMonth() + 1)}/${two(when.getDate())}`
  const time = `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`
  return `${day} ${time} [${NAMES.get(level) ?? 'ERR'}] fleetd: ${message}`
}

/** Ends a stream or the monitor. It always succeeds, as Serf's does: the client has stopped listening already. */
export const stop: Command = command(z.object({ Stop: counter }), ({ Stop }, client) => {
  client.streams.get(Stop)?.()
  client.streams.delete(Stop)
  if (client.monitor?.seq === Stop) {
    client.monitor.end()
    client.monitor = undefined
  }
  return {}
})
