import type { LogLevel, Monitored } from '../../protocol/api/index.ts'
import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import type { Tint } from '../paint.ts'
import { payloadFields, payloadText } from '../payload.ts'
import { plain } from '../text.ts'

export async function run(context: Context, { logLevel = 'info' }: { logLevel?: LogLevel }): Promise<undefined> {
  const { client, json } = context
  for await (const seen of client.updates('GET /v1/monitor', { query: { level: logLevel } })) {
    if (json) context.emit('payload' in seen ? { ...seen, payload: undefined, ...payloadFields(seen.payload) } : seen)
    else context.say(line(seen, context))
  }
  throw new FleetError('unavailable', `the daemon at ${client.address} has stopped`)
}

const LEVEL: Readonly<Record<LogLevel, Tint>> = {
  fatal: 'red',
  error: 'red',
  warn: 'yellow',
  info: 'green',
  debug: 'dim',
  trace: 'dim',
}

function line(seen: Monitored, { paint }: Context): string {
  switch (seen.type) {
    case 'log': {
      const fields = Object.entries(seen.fields).map(([key, value]) => `${key}=${short(value)}`)
      const time = new Date(seen.at).toISOString()
      return `${paint('dim', time)} ${paint(LEVEL[seen.level], seen.level.padEnd(5))} ${plain([seen.message, ...fields].join(' '))}`
    }
    case 'members': {
      const names = seen.members.map(({ name, addrs }) => (addrs[0] === undefined ? name : `${name} ${addrs[0]}`))
      return `${paint('cyan', `member-${seen.event}`)} ${plain(names.join(', '))}`
    }
    case 'event':
      return `${paint('cyan', 'event')} ${plain(`${seen.name} ltime=${seen.ltime} by=${seen.author}`)} ${payloadText(seen.payload)}`
    case 'query':
      return `${paint('cyan', 'query')} ${plain(`${seen.name} ltime=${seen.ltime} by=${seen.asker}`)} ${payloadText(seen.payload)}`
    default:
      return seen satisfies never
  }
}

const short = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
