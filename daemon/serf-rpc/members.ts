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
 * The members that a filter lets through. Each of its parts is a regular expression of Go's (RE2) over the whole text; an empty name or
 * status lets all through, and a tag that a member does not have is empty text. Throws `bad-input` on one that is none.
 */
export function filtered(members: readonly MemberView[], filter: MemberFilter): MemberView[] {
  const tags = Object.entries(filter.tags).map(([tag, expression]) => [tag, pattern(expression)] as const)
  const status = filter.status === '' ? undefined : pattern(filter.status)
  const name = filter.name === '' ? undefined : pattern(filter.name)
  return members.filter(
    member =>
      tags.every(([tag, expression]) => expression.matches(member.tags[tag] ?? '')) &&
      (status === undefined || status.matches(SERF_STATUS[member.status])) &&
      (name === undefined || name.matches(member.name)),
  )
}

// RE2 takes time in proportion to expression and text, whatever the expression: it cannot be made to stall the daemon.
function pattern(expression: string): RE2JS {
  if (expression.length > SERF_LIMITS.pattern)
    throw new FleetError('too-large', `a regular expression is longer than ${SERF_LIMITS.pattern} characters`)
  try {
    return RE2JS.compile(expression)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    throw new FleetError('bad-input', `Failed to compile regex: ${error.message}`, { cause: error })
  }
}
