import { setImmediate as nextTurn } from 'node:timers/promises'
import { multiaddr } from '@multiformats/multiaddr'
import { RE2JS, RE2JSException } from 're2js'
import type { MemberView, Status } from '../../membership/index.ts'
import { FleetError } from '../../protocol/index.ts'
import { endpointOf } from '../network/index.ts'
import { SERF_LIMITS } from './limits.ts'

/**
 * Our states in Serf's words, so that they agree with the events that clients are told: who is suspected is not yet given up; an intermittent
 * node that is away as expected has neither left nor failed; one that is overdue is to be looked for, like a failed one.
 */
export const SERF_STATUS: Readonly<Record<Status, 'alive' | 'left' | 'failed'>> = {
  alive: 'alive',
  suspect: 'alive',
  away: 'alive',
  overdue: 'failed',
  left: 'left',
  failed: 'failed',
}

// multiformats, table.csv
const IP4 = 4
const IP6 = 41

/** A member on the wire: Go's struct `Member`, field by field. */
export interface MemberRecord {
  readonly Name: string
  /** 4 or 16 bytes, as in Go's net.IP; null when the member is known by DNS name alone. */
  readonly Addr: Uint8Array | null
  readonly Port: number
  readonly Tags: Readonly<Record<string, string>>
  readonly Status: string
  readonly ProtocolMin: number
  readonly ProtocolMax: number
  readonly ProtocolCur: number
  readonly DelegateMin: number
  readonly DelegateMax: number
  readonly DelegateCur: number
}

// What Serf 0.8 says of itself (memberlist's protocol and its own): tools compare these to see whether a cluster is up to date.
const VERSIONS = {
  ProtocolMin: 1,
  ProtocolMax: 5,
  ProtocolCur: 2,
  DelegateMin: 2,
  DelegateMax: 5,
  DelegateCur: 5,
} as const

export function memberRecord(member: MemberView): MemberRecord {
  const address = member.addresses.find(address => /^\/ip[46]\//.test(address)) ?? member.addresses[0]
  const [family, host] = address === undefined ? [] : multiaddr(address).tuples()[0]!
  return {
    Name: member.name,
    Addr: family === IP4 || family === IP6 ? host! : null,
    Port: address === undefined ? 0 : endpointOf(address).port,
    Tags: member.tags,
    Status: SERF_STATUS[member.status],
    ...VERSIONS,
  }
}

export interface MemberFilter {
  readonly tags: Readonly<Record<string, string>>
  readonly status: string
  readonly name: string
}

/**
 * Whether a member passes a filter. Each of its parts is a regular expression of Go's (RE2) over the whole text; an empty name or
 * status lets all through, and a tag that a member does not have is empty text. Throws `bad-input` on one that is none.
 */
export function filterOf(filter: MemberFilter): (member: MemberView) => boolean {
  const tags = Object.entries(filter.tags).map(([tag, expression]) => [tag, compile(expression)] as const)
  const status = filter.status === '' ? undefined : compile(filter.status)
  const name = filter.name === '' ? undefined : compile(filter.name)
  const size = [...tags.map(([, expression]) => expression), status, name].reduce(
    (sum, expression) => sum + (expression?.programSize() ?? 0),
    0,
  )
  if (size > SERF_LIMITS.program)
    throw new FleetError(
      'bad-input',
      `the regular expressions are too large together (${size} steps of at most ${SERF_LIMITS.program}); use shorter ones, and smaller counts of repetition`,
    )
  return member =>
    tags.every(([tag, expression]) => expression.matches(member.tags[tag] ?? '')) &&
    (status === undefined || status.matches(SERF_STATUS[member.status])) &&
    (name === undefined || name.matches(member.name))
}

// RE2 takes time in proportion to the text, whatever the expression.
function compile(expression: string): RE2JS {
  if (expression.length > SERF_LIMITS.pattern)
    throw new FleetError('bad-input', `a regular expression is longer than ${SERF_LIMITS.pattern} characters`)
  try {
    return RE2JS.compile(expression)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    throw new FleetError('bad-input', `Failed to compile regex: ${error.message}`, { cause: error })
  }
}

/** The records of those that pass, in order. A large fleet is gone through in pieces, so that no probe waits for it. */
export async function recordsOf(
  members: readonly MemberView[],
  passes: (member: MemberView) => boolean = () => true,
): Promise<MemberRecord[]> {
  const records: MemberRecord[] = []
  for (const [i, member] of members.entries()) {
    if (i % SERF_LIMITS.batch === SERF_LIMITS.batch - 1) await nextTurn()
    if (passes(member)) records.push(memberRecord(member))
  }
  return records
}
