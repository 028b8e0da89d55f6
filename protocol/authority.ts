import { AUDIT_HEAD, type AuditHead } from './audit/head.ts'
import { FleetError } from './errors.ts'
import { type Digest, type FleetId, type Millis, type NodeId, type PublicKey, publicKeyOf } from './ids.ts'
import { LIMITS } from './limits.ts'
import { nodeSigner, open, type Statement, type StatementKind } from './statement.ts'
import { CERTIFICATE, INVITE, type Invite, REVOCATION, type Revocation } from './statements/admission.ts'
import { EVENT, type FleetEvent } from './statements/event.ts'
import { MARK_ORDER, type MarkOrder } from './statements/mark.ts'
import {
  DISMISSAL,
  type Dismissal,
  type NodeRecord,
  RECORD,
  SUSPICION,
  type Suspicion,
  VITALS,
  type Vitals,
} from './statements/member.ts'
import { POLICY, type Policy } from './statements/policy.ts'
import { PUSH, type Push } from './statements/push.ts'
import { ANSWER, type Answer, QUERY, type Query } from './statements/query.ts'
import { RECOVERY, type Recovery } from './statements/recovery.ts'
import { ORDER, type Order, PLAN, type Plan } from './statements/rollout.ts'

/**
 * Who may say what. A value: every change gives a new one. Holds the whole policy chain from policy 1, because older
 * certificates hang from older operators, and the revocations.
 */
export interface Authority {
  readonly fleet: FleetId
  /** From policy 1 to the current one; never empty. */
  readonly chain: readonly Statement<Policy>[]
  readonly policy: Policy
  readonly revoked: ReadonlyMap<NodeId, Statement<Revocation>>
}

/** The authority of a fleet from its policy chain. Throws `unauthorized` or `corrupt` unless every link holds. */
export function authorityFrom(chain: readonly Uint8Array[], expected?: FleetId): Authority {
  const [first, ...rest] = chain
  if (first === undefined) throw new FleetError('bad-input', 'a policy chain has at least policy 1')
  const root = open(POLICY, '', first)
  if (expected !== undefined && (root.id as string) !== expected) {
    throw new FleetError(
      'unauthorized',
      `policy 1 is that of fleet ${root.id.slice(0, 12)}, not of fleet ${expected.slice(0, 12)}`,
    )
  }
  if (root.body.version !== 1 || root.body.previous !== null)
    throw new FleetError('unauthorized', 'a fleet begins with policy 1')
  assertThreshold(root, root.body)
  const fleet = root.id as string as FleetId
  return rest.reduce(withPolicy, { fleet, chain: [root], policy: root.body, revoked: new Map() })
}

/** The authority after one more policy. The current policy again is a no-op. */
export function withPolicy(authority: Authority, bytes: Uint8Array): Authority {
  const current = authority.chain.at(-1)!
  // Known good, and not to be verified five hundred times for a token that holds it as often.
  if (Buffer.compare(bytes, current.bytes) === 0) return authority
  const next = open(POLICY, authority.fleet, bytes)
  if (next.id === current.id) return authority
  if (next.body.version !== authority.policy.version + 1 || next.body.previous !== current.id) {
    throw new FleetError(
      'conflict',
      `policy ${next.body.version} does not follow policy ${authority.policy.version}, which is the current one`,
    )
  }
  assertThreshold(next, authority.policy)
  assertThreshold(next, next.body)
  return { ...authority, chain: [...authority.chain, next], policy: next.body }
}

/** The authority after one more revocation. */
export function withRevocation(authority: Authority, bytes: Uint8Array): Authority {
  const revocation = open(REVOCATION, authority.fleet, bytes)
  assertOperator(authority, revocation)
  if (authority.revoked.has(revocation.body.node)) return authority
  return { ...authority, revoked: new Map(authority.revoked).set(revocation.body.node, revocation) }
}

/**
 * The authority after a revocation that this node took before and kept. Whoever signed it was an operator then; that the
 * fleet has other operators now does not bring a node back.
 */
export function withKeptRevocation(authority: Authority, bytes: Uint8Array): Authority {
  const revocation = open(REVOCATION, authority.fleet, bytes)
  if (!wasEverOperator(authority, revocation))
    throw new FleetError('unauthorized', `${revocation.domain}: not signed by an operator that this fleet ever had`)
  if (authority.revoked.has(revocation.body.node)) return authority
  return { ...authority, revoked: new Map(authority.revoked).set(revocation.body.node, revocation) }
}

/** What a certificate that holds gives its node. */
export interface Admitted {
  readonly node: NodeId
  readonly invite: Statement<Invite>
  /**
   * True when the invite could still be used at `now`: not expired, and by an operator whom the current policy names. A
   * certificate that nobody has seen before is only taken then, so an operator who was removed can let nobody in any more.
   */
  readonly fresh: boolean
}

/** Checks the chain operator -> invite -> certificate. Throws `unauthorized` naming the link that fails. */
export function checkCertificate(authority: Authority, bytes: Uint8Array, now: Millis): Admitted {
  const certificate = open(CERTIFICATE, authority.fleet, bytes)
  const { node } = certificate.body
  const revocation = authority.revoked.get(node)
  if (revocation !== undefined)
    throw new FleetError('unauthorized', `node ${node} was revoked: ${revocation.body.reason}`)
  const invite = open(INVITE, authority.fleet, certificate.body.invite)
  if (!wasEverOperator(authority, invite))
    throw new FleetError('unauthorized', 'the invite is not signed by an operator of this fleet')
  if (certificate.signers.length !== 1 || certificate.signers[0] !== invite.body.key) {
    throw new FleetError('unauthorized', 'the certificate is not signed with the key of its invite')
  }
  const current = invite.signers.some(key => authority.policy.operators.includes(key))
  return { node, invite, fresh: current && now <= invite.body.expires }
}

function wasEverOperator(authority: Authority, statement: Statement<unknown>): boolean {
  return statement.signers.some(key => authority.chain.some(policy => policy.body.operators.includes(key)))
}

/** Opens a node's record: its own signature, a certificate that holds, and no claim beyond its invite. */
export function openRecord(authority: Authority, bytes: Uint8Array, now: Millis): Statement<NodeRecord> {
  const record = open(RECORD, authority.fleet, bytes)
  assertOwnWord(record, record.body.node)
  assertNotFromTheFuture(record, now)
  const { node, invite } = checkCertificate(authority, record.body.certificate, now)
  if (node !== record.body.node)
    throw new FleetError('unauthorized', 'the record carries the certificate of another node')
  assertWithinInvite(record.body, invite.body)
  return record
}

/** Throws `unauthorized` when a record claims another class, group, zone or tag than its invite allows. */
export function assertWithinInvite(
  record: Pick<NodeRecord, 'class' | 'group' | 'zone' | 'tags'>,
  invite: Invite,
): void {
  for (const field of ['class', 'group', 'zone'] as const) {
    if (invite[field] !== undefined && invite[field] !== record[field]) {
      throw new FleetError(
        'unauthorized',
        `the invite is for ${field} ${invite[field]}, not ${record[field]}; start with --${field} ${invite[field]} or ask for another invite`,
      )
    }
  }
  for (const [key, value] of Object.entries(invite.tags ?? {})) {
    if (record.tags[key] !== value) throw new FleetError('unauthorized', `the invite demands the tag ${key}=${value}`)
  }
}

/** Opens what a node says: under its own signature, not revoked, and not from the future. */
function openOwn<T extends { readonly node: NodeId }>(
  kind: StatementKind<T>,
  authority: Authority,
  bytes: Uint8Array,
  now: Millis,
): Statement<T> {
  const statement = open(kind, authority.fleet, bytes)
  assertOwnWord(statement, statement.body.node)
  assertNotRevoked(authority, statement.body.node)
  assertNotFromTheFuture(statement, now)
  return statement
}

export const openVitals = (authority: Authority, bytes: Uint8Array, now: Millis): Statement<Vitals> =>
  openOwn(VITALS, authority, bytes, now)

/** Opens a suspicion. Whether its signer is assigned to observe the subject depends on the overlay and is for membership to decide. */
export function openSuspicion(authority: Authority, bytes: Uint8Array, now: Millis): Statement<Suspicion> {
  const suspicion = open(SUSPICION, authority.fleet, bytes)
  assertNotRevoked(authority, nodeSigner(suspicion))
  assertNotFromTheFuture(suspicion, now)
  return suspicion
}

/** Opens a user event: its author's own word. */
export const openEvent = (authority: Authority, bytes: Uint8Array, now: Millis): Statement<FleetEvent> =>
  openOwn(EVENT, authority, bytes, now)

/** Opens a dismissal: an operator's signature, or that of a node which is not revoked. Whether it counts depends on the subject and is for membership to decide. */
export function openDismissal(authority: Authority, bytes: Uint8Array, now: Millis): Statement<Dismissal> {
  const dismissal = open(DISMISSAL, authority.fleet, bytes)
  const byOperator = dismissal.signers.some(key => authority.policy.operators.includes(key))
  if (!byOperator) assertNotRevoked(authority, nodeSigner(dismissal))
  assertNotFromTheFuture(dismissal, now)
  return dismissal
}

/** Opens a query: the asker's own signature. Whether it is a member that we know is for the caller to see. */
export const openQuery = (authority: Authority, bytes: Uint8Array, now: Millis): Statement<Query> =>
  openOwn(QUERY, authority, bytes, now)

/** Opens the answer of one node to a query: its own signature. */
export const openAnswer = (authority: Authority, bytes: Uint8Array, now: Millis): Statement<Answer> =>
  openOwn(ANSWER, authority, bytes, now)

/** Opens a head of an audit log: its node's own word. That of a node which was put out since is kept like any other: what it did stays known. */
export function openAuditHead(authority: Authority, bytes: Uint8Array, now: Millis): Statement<AuditHead> {
  const head = open(AUDIT_HEAD, authority.fleet, bytes)
  assertOwnWord(head, head.body.node)
  assertNotFromTheFuture(head, now)
  return head
}

/**
 * Opens a plan: the signatures of as many operators as the current policy demands. Whether its time is over is checked where a step is
 * about to be taken. Throws `unauthorized`, and says which signatures are missing.
 */
export function openPlan(authority: Authority, bytes: Uint8Array): Statement<Plan> {
  const plan = open(PLAN, authority.fleet, bytes)
  assertOperator(authority, plan)
  const lacking = approvalsMissing(authority, plan)
  if (lacking > 0) {
    const { threshold, version } = authority.policy
    throw new FleetError(
      'unauthorized',
      `plan ${plan.body.generation} for group ${plan.body.group} has ${threshold - lacking} of the ${threshold} operators' signatures that policy ${version} demands; have others sign it too: fleetctl rollout approve FILE`,
    )
  }
  return plan
}

/** How many more operators have to sign a plan before it counts; 0 when it does. */
export const approvalsMissing = ({ policy }: Authority, plan: Statement<Plan>): number => missing(policy, plan)

/** How many more operators have to sign a policy before it follows the current one: of those whom that names, and of those whom it names itself. */
export const policyApprovalsMissing = (
  { policy }: Authority,
  next: Statement<Policy>,
): { readonly current: number; readonly own: number } => ({
  current: missing(policy, next),
  own: missing(next.body, next),
})

const missing = ({ threshold, operators }: Policy, { signers }: Statement<unknown>): number =>
  Math.max(0, threshold - signers.filter(key => operators.includes(key)).length)

/** The voters that a group begins with: by the oldest policy that names them, because what was begun once is not begun again elsewhere. Undefined where none does. */
export function genesisVotersOf({ chain }: Authority, group: string): readonly NodeId[] | undefined {
  for (const { body } of chain) {
    const found = body.groups[group] ?? body.groups['*']
    if (found !== undefined) return found.genesisVoters
  }
  return undefined
}

/** Opens an operator's word on what a node runs. Whether it comes in time, and for the first time, is for that node to see. */
export function openMarkOrder(authority: Authority, bytes: Uint8Array, now: Millis): Statement<MarkOrder> {
  const order = open(MARK_ORDER, authority.fleet, bytes)
  assertOperator(authority, order)
  assertNotFromTheFuture(order, now)
  return order
}

/** Opens a recovery: an operator's signature. */
export function openRecovery(authority: Authority, bytes: Uint8Array): Statement<Recovery> {
  const recovery = open(RECOVERY, authority.fleet, bytes)
  assertOperator(authority, recovery)
  return recovery
}

/** Opens a recovery that this node took before and kept: whoever signed it was an operator then. */
export function openKeptRecovery(authority: Authority, bytes: Uint8Array): Statement<Recovery> {
  const recovery = open(RECOVERY, authority.fleet, bytes)
  if (!wasEverOperator(authority, recovery))
    throw new FleetError('unauthorized', `${recovery.domain}: not signed by an operator that this fleet ever had`)
  return recovery
}

export function openOrder(authority: Authority, bytes: Uint8Array): Statement<Order> {
  const order = open(ORDER, authority.fleet, bytes)
  assertOperator(authority, order)
  return order
}

/**
 * Opens a push: the word of the node that took it, which need not be there any more. Where the policy keeps pushes to publishers, its
 * key has to be one of theirs; otherwise any member may push.
 */
export function openPush(authority: Authority, bytes: Uint8Array, now: Millis): Statement<Push> {
  const push = open(PUSH, authority.fleet, bytes)
  assertOwnWord(push, push.body.node)
  const { node } = checkCertificate(authority, push.body.certificate, now)
  if (node !== push.body.node) throw new FleetError('unauthorized', 'the push carries the certificate of another node')
  assertMayPush(authority, node)
  assertNotFromTheFuture({ ...push, clock: push.body.at }, now)
  return push
}

/** Throws `unauthorized` when the policy does not let this node take pushes. */
export function assertMayPush(authority: Authority, node: NodeId): void {
  if (authority.policy.pushes !== 'publishers') return
  const key = keyOf(node)
  if (key === undefined || !authority.policy.publishers.includes(key))
    throw new FleetError(
      'unauthorized',
      `the policy lets publishers alone push, and the key of node ${node} is none of theirs`,
    )
}

/** True when a key that this image is endorsed with may publish images. */
export function isPublisher(authority: Authority, endorsement: Statement<{ image: Digest }>): boolean {
  return endorsement.signers.some(key => authority.policy.publishers.includes(key))
}

function assertThreshold(statement: Statement<Policy>, policy: Policy): void {
  if (policy.threshold > policy.operators.length)
    throw new FleetError(
      'unauthorized',
      `policy ${policy.version}: threshold ${policy.threshold} is more than its ${policy.operators.length} operators`,
    )
  const lacking = missing(policy, statement)
  if (lacking > 0) {
    throw new FleetError(
      'unauthorized',
      `policy ${statement.body.version} has ${policy.threshold - lacking} of the ${policy.threshold} signatures that policy ${policy.version} demands`,
    )
  }
}

function assertOperator(authority: Authority, statement: Statement<unknown>): void {
  if (!statement.signers.some(key => authority.policy.operators.includes(key))) {
    throw new FleetError(
      'unauthorized',
      `${statement.domain}: not signed by an operator of this fleet; use the key that the policy names (fleetctl --key FILE)`,
    )
  }
}

function assertOwnWord(statement: Statement<unknown>, subject: NodeId): void {
  if (statement.signers.length !== 1 || statement.signers[0] !== keyOf(subject)) {
    throw new FleetError('unauthorized', `${statement.domain}: a node may only speak of itself`)
  }
}

/** Undefined for what only looks like a node's id: nobody can have signed for it. */
function keyOf(node: NodeId): PublicKey | undefined {
  try {
    return publicKeyOf(node)
  } catch {
    return undefined
  }
}

function assertNotRevoked(authority: Authority, node: NodeId): void {
  if (authority.revoked.has(node)) throw new FleetError('unauthorized', `node ${node} was revoked`)
}

function assertNotFromTheFuture(statement: Statement<unknown>, now: Millis): void {
  const ahead = statement.clock - now
  if (ahead > LIMITS.clockSkew) {
    throw new FleetError(
      'unauthorized',
      `${statement.domain}: signed ${Math.round(ahead / 1000)} s in the future; set the clocks of both hosts`,
    )
  }
}
