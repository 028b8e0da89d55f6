import { FleetError } from '../../protocol/index.ts'
import type { Happening } from '../happenings.ts'

/** What a handler can be for, in Serf's words. */
export const EVENT_TYPES = [
  'member-join',
  'member-leave',
  'member-failed',
  'member-update',
  'member-reap',
  'user',
  'query',
  '*',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

export interface Filter {
  readonly type: EventType
  /** Only the user event or query of this name. */
  readonly name?: string
}

/** One event handler: what it is for, and the shell command line that is run. */
export interface HandlerSpec {
  /** As it was written; a handler's identity across reloads and restarts. */
  readonly text: string
  readonly filters: readonly Filter[]
  readonly script: string
}

/** Bytes of a whole spec. */
const MAX_SPEC = 16 * 1024
const MAX_NAME = 128

/**
 * Serf's syntax: `[type[,type][:name]=]script`. What stands before the first `=` says what the script is for; without one it is
 * for everything. Stricter than Serf, which takes a script as `FOO=1 ./x` for a handler of the unheard-of event FOO and
 * never runs it. Throws `bad-input` naming the part that is wrong and what is allowed.
 */
export function parseHandlerSpec(text: string): HandlerSpec {
  if (Buffer.byteLength(text) > MAX_SPEC) throw refusal(text, `it is longer than ${MAX_SPEC} bytes; put it in a script`)
  if (text.includes('\0')) throw refusal(text, 'it has a NUL character in it')
  const equals = text.indexOf('=')
  const script = (equals < 0 ? text : text.slice(equals + 1)).trim()
  if (script === '') throw refusal(text, 'there is no script; expected [TYPE[,TYPE][:NAME]=]SCRIPT')
  if (equals < 0) return { text, filters: [{ type: '*' }], script }
  return {
    text,
    filters: text
      .slice(0, equals)
      .split(',')
      .map(part => parseFilter(text, part)),
    script,
  }
}

function parseFilter(spec: string, part: string): Filter {
  const colon = part.indexOf(':')
  const type = colon < 0 ? part : part.slice(0, colon)
  if (!isEventType(type))
    throw refusal(
      spec,
      `${JSON.stringify(type.slice(0, 80))} is no type of event; expected ${EVENT_TYPES.join(', ')} ` +
        '(a script that has an = itself is written *=SCRIPT)',
    )
  if (colon < 0) return { type }
  const name = part.slice(colon + 1)
  if (type !== 'user' && type !== 'query')
    throw refusal(spec, `${JSON.stringify(part)}: only user and query can have a :NAME`)
  if (name === '')
    throw refusal(spec, `${JSON.stringify(part)}: there is no name behind the colon; leave the colon out to mean all`)
  if (Buffer.byteLength(name) > MAX_NAME)
    throw refusal(spec, `the name behind ${type}: is longer than ${MAX_NAME} bytes`)
  if (name.startsWith('_'))
    throw refusal(
      spec,
      `${JSON.stringify(part)}: names that begin with _ are the fleet's own and not given to handlers`,
    )
  return { type, name }
}

const isEventType = (text: string): text is EventType => (EVENT_TYPES as readonly string[]).includes(text)

const refusal = (spec: string, why: string): FleetError =>
  new FleetError('bad-input', `event handler ${JSON.stringify(spec.slice(0, 120))}: ${why}`)

/** What happened, as far as filters look at it. */
export interface Kind {
  readonly type: Exclude<EventType, '*'>
  /** Of a user event or query. */
  readonly name?: string
}

export function kindOf(happening: Happening): Kind {
  switch (happening.type) {
    case 'members':
      return { type: `member-${happening.event}` }
    case 'event':
      return { type: 'user', name: happening.event.name }
    case 'query':
      return { type: 'query', name: happening.query.name }
    default:
      return happening satisfies never
  }
}

/** Names that begin with `_` are the fleet's own, and go to no handler. */
export const isInternal = (kind: Kind): boolean => kind.name?.startsWith('_') === true

export const matches = (spec: HandlerSpec, kind: Kind): boolean =>
  !isInternal(kind) &&
  spec.filters.some(
    ({ type, name }) => type === '*' || (type === kind.type && (name === undefined || name === kind.name)),
  )

/** Whether the handler reads user events at all. */
export const readsEvents = (spec: HandlerSpec): boolean =>
  spec.filters.some(({ type }) => type === '*' || type === 'user')
