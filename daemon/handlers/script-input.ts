import type { MemberView } from '../../membership/index.ts'
import type { Address, NodeId } from '../../protocol/index.ts'
import type { Happening } from '../happenings.ts'
import { endpointOf } from '../network/index.ts'
import { kindOf } from './spec.ts'

/** This node as scripts see it. */
export interface Self {
  readonly id: NodeId
  readonly name: string
  readonly class: string
  readonly group: string
  readonly zone: string
  readonly tags: Readonly<Record<string, string>>
}

/**
 * The variables that a script runs with, beside the daemon's own: Serf's under Serf's names, and under FLEET_ what Serf does
 * not know. Documented one by one in docs/handlers.md. Times are milliseconds since 1970. NUL characters, which no variable can
 * hold, are left out.
 */
export function variablesOf(
  happening: Happening,
  self: Self,
  nameOf: (node: NodeId) => string | undefined,
): Record<string, string> {
  const kind = kindOf(happening).type
  const variables: Record<string, string> = {
    SERF_EVENT: kind,
    SERF_SELF_NAME: self.name,
    SERF_SELF_ROLE: self.tags.role ?? '',
    FLEET_EVENT: kind,
    FLEET_SELF_ID: self.id,
    FLEET_SELF_NAME: self.name,
    FLEET_CLASS: self.class,
    FLEET_GROUP: self.group,
    FLEET_ZONE: self.zone,
    ...ofHappening(happening, nameOf),
  }
  for (const [tag, value] of Object.entries(self.tags))
    variables[`SERF_TAG_${tag.toUpperCase().replace(/[^A-Z0-9_]/g, '_')}`] = value
  for (const [name, value] of Object.entries(variables)) variables[name] = value.replaceAll('\0', '')
  return variables
}

function ofHappening(happening: Happening, nameOf: (node: NodeId) => string | undefined): Record<string, string> {
  switch (happening.type) {
    case 'members':
      return { FLEET_MEMBERS: String(happening.members.length) }
    case 'event': {
      const { event } = happening
      return {
        SERF_USER_EVENT: event.name,
        SERF_USER_LTIME: String(event.ltime),
        FLEET_NAME: event.name,
        FLEET_LTIME: String(event.ltime),
        FLEET_AUTHOR: event.author,
        FLEET_AUTHOR_NAME: nameOf(event.author) ?? '',
        FLEET_SEQ: String(event.seq),
        FLEET_CURSOR: String(event.cursor),
        FLEET_AT: String(event.at),
      }
    }
    case 'query': {
      const { query } = happening
      return {
        SERF_QUERY_NAME: query.name,
        SERF_QUERY_LTIME: String(query.ltime),
        FLEET_NAME: query.name,
        FLEET_LTIME: String(query.ltime),
        FLEET_QUERY_ID: query.id,
        FLEET_AUTHOR: query.asker,
        FLEET_AUTHOR_NAME: nameOf(query.asker) ?? '',
        FLEET_DEADLINE: String(query.deadline),
      }
    }
    default:
      return happening satisfies never
  }
}

/** What a script reads, as Serf writes it: a line for each member, or the payload, which ends in a newline unless it is empty. */
export function stdinOf(happening: Happening): Uint8Array {
  switch (happening.type) {
    case 'members':
      return Buffer.from(happening.members.map(memberLine).join(''))
    case 'event':
      return withNewline(happening.event.payload)
    case 'query':
      return withNewline(happening.query.payload)
    default:
      return happening satisfies never
  }
}

const NEWLINE = 0x0a

const withNewline = (payload: Uint8Array): Uint8Array =>
  payload.length === 0 || payload.at(-1) === NEWLINE ? payload : Buffer.concat([payload, Buffer.of(NEWLINE)])

/** `name\taddress\trole\ttags\n`; tags as `k=v,k=v`, in the order of their keys. */
function memberLine({ name, addresses, tags }: MemberView): string {
  const pairs = Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
  return `${[name, hostOf(addresses), tags.role ?? '', pairs.join(',')].map(clean).join('\t')}\n`
}

const hostOf = ([first]: readonly Address[]): string => (first === undefined ? '' : endpointOf(first).host)

/** A tab or newline as its two-character escape, so that a line is one member and a tab parts two fields. */
const clean = (text: string): string => text.replaceAll('\t', '\\t').replaceAll('\n', '\\n')
