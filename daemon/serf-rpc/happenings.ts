import type { Happening } from '../happenings.ts'
import { SERF_LIMITS } from './limits.ts'
import { memberRecord } from './members.ts'

/** One of the types of a `stream` command: `member-join`, `user`, `user:deploy`, `query:load`, `*`. */
export interface EventFilter {
  readonly type: string
  /** Of the user event or query; undefined: whichever. */
  readonly name: string | undefined
}

const TYPES = ['member-join', 'member-leave', 'member-failed', 'member-update', 'member-reap', 'user', 'query', '*']

/** The filters of a `stream` command, with commas between them; none means all. Undefined when one of them is no filter. */
export function parseFilters(text: string): readonly EventFilter[] | undefined {
  const parts = (text === '' ? '*' : text).split(',')
  if (parts.length > SERF_LIMITS.filters) return undefined
  const filters = parts.map((part): EventFilter => {
    const [, type, name] = /^(user|query):(.*)$/s.exec(part) ?? []
    return type === undefined ? { type: part, name: undefined } : { type, name: name === '' ? undefined : name }
  })
  return filters.every(({ type }) => TYPES.includes(type)) ? filters : undefined
}

/** Names that Serf keeps for what agents ask each other. No client is told of them. */
export const INTERNAL_PREFIX = '_serf_'

/** Whether a stream with these filters tells of it. */
export function lets(filters: readonly EventFilter[], happening: Happening): boolean {
  const [type, name] = nameOf(happening)
  if (type === 'query' && name?.startsWith(INTERNAL_PREFIX)) return false
  return filters.some(filter => filter.type === '*' || (filter.type === type && (filter.name ?? name) === name))
}

function nameOf(happening: Happening): [type: string, name: string | undefined] {
  switch (happening.type) {
    case 'members':
      return [`member-${happening.event}`, undefined]
    case 'event':
      return ['user', happening.event.name]
    case 'query':
      return ['query', happening.query.name]
    default:
      return happening satisfies never
  }
}

/** The record that a stream sends. `idOf` numbers a query, so that the client can respond to it. */
export function recordOf(
  happening: Happening,
  idOf: (query: Extract<Happening, { type: 'query' }>['query']) => number,
): unknown {
  switch (happening.type) {
    case 'members':
      return { Event: `member-${happening.event}`, Members: happening.members.map(memberRecord) }
    case 'event': {
      const { ltime, name, payload, coalesce } = happening.event
      return { Event: 'user', LTime: ltime, Name: name, Payload: payload, Coalesce: coalesce }
    }
    case 'query': {
      const { ltime, name, payload } = happening.query
      return { Event: 'query', ID: idOf(happening.query), LTime: ltime, Name: name, Payload: payload }
    }
    default:
      return happening satisfies never
  }
}
