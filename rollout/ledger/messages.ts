import * as z from 'zod'
import type { Millis, Plan, Statement } from '../../protocol/index.ts'
import { check, decode, encode, FleetError, fields, LIMITS, objectionText, PHASES } from '../../protocol/index.ts'
import { MAX_HISTORY } from './history.ts'
import type { Action, LedgerValue } from './value.ts'

/** Orders proposals within one epoch: by round, then by proposer. Round 0 is the value that the epoch was installed with. */
export interface Ballot {
  readonly round: number
  readonly node: string
}

export const ZERO: Ballot = { round: 0, node: '' }
export const compareBallots = (a: Ballot, b: Ballot): number =>
  a.round - b.round || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0)

/** What a proposer asks of a voter. */
export type Request =
  | { readonly type: 'read'; readonly group: string; readonly epoch: number }
  | { readonly type: 'prepare'; readonly group: string; readonly epoch: number; readonly ballot: Ballot }
  | {
      readonly type: 'accept'
      readonly group: string
      readonly epoch: number
      readonly ballot: Ballot
      readonly value: LedgerValue
      /** How the value came about; null when it is only written again. */
      readonly change: { readonly from: LedgerValue; readonly action: Action } | null
      /** The plan that the change needs, once the voter said that it lacks it. */
      readonly plan: Statement<Plan> | null
    }
  /** Opens an epoch at a voter, with its first value. */
  | { readonly type: 'install'; readonly group: string; readonly first: LedgerValue }

export type Reply =
  | { readonly type: 'state'; readonly ballot: Ballot; readonly value: LedgerValue }
  | { readonly type: 'promised'; readonly accepted: Ballot; readonly value: LedgerValue }
  | { readonly type: 'accepted' }
  | { readonly type: 'installed' }
  /** A higher ballot was promised to somebody else. */
  | { readonly type: 'rejected'; readonly promised: Ballot }
  /** This voter is in a later epoch, which began with this value. */
  | { readonly type: 'moved'; readonly first: LedgerValue }
  /** This voter has not been installed in that epoch. */
  | { readonly type: 'not-installed' }
  | { readonly type: 'need-plan' }
  /** The change is not what the reducer makes of the action, or is none that it allows. */
  | { readonly type: 'illegal'; readonly reason: string }

const { counter: count, digest, label, nodeId: node, reason: text, time } = fields
// Decoded bytes are a Buffer; what the reducer makes is not, and the two have to compare equal.
const bits = z
  .custom<Uint8Array>(value => value instanceof Uint8Array && value.byteLength <= LIMITS.roster / 8)
  .transform(value => Uint8Array.from(value))
/** Layers that a group may ever have had a plan for. */
const MAX_TARGETS = 256
const voters = z.array(node).min(1).max(7)
const kind = z.enum(['replace', 'revert', 'renew', 'reboot', 'recover'])
const holder = z.string().min(1).max(LIMITS.name)
const permit = z.object({
  token: count,
  node,
  zone: label,
  kind,
  generation: count,
  since: time,
  holder: holder.optional(),
})

const phase = z.enum(PHASES)
const past = z.object({
  generation: count,
  plan: digest,
  layer: label,
  image: digest,
  version: z.string().max(2 * LIMITS.name),
  since: time,
  end: z.object({ phase, reason: text, ok: count, failed: count, at: time }).nullable(),
})

/** What was written before there were waves, soaks and a history reads as if there were none. */
const valueSchema: z.ZodType<LedgerValue> = z.object({
  group: label,
  version: count,
  epoch: count,
  voters,
  successors: voters.nullable(),
  generation: count,
  plan: digest.nullable(),
  phase,
  resumeTo: z.enum(['canary', 'rolling', 'soaking', 'reversing']).nullable(),
  wave: count.default(0),
  soakUntil: time.default(0 as Millis),
  reason: text,
  nextToken: count,
  permits: z.array(permit).max(LIMITS.roster),
  ok: bits,
  failed: bits,
  writtenOff: bits,
  targets: fields.recordOf(label, digest, MAX_TARGETS),
  denied: z.array(digest).max(64),
  fenced: z.array(node).max(256),
  history: z.array(past).max(MAX_HISTORY).default([]),
  progressAt: time,
})

const reason = { reason: text, now: time }
const meant = z.object({ generation: count, wave: count }).optional()
const ordered = <T extends string>(type: T) => z.object({ type: z.literal(type), ...reason, meant })
const actionSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), plan: z.custom<Uint8Array>(value => value instanceof Uint8Array), now: time }),
  z.object({
    type: z.literal('grant'),
    node,
    zone: label,
    unavailable: z.array(z.object({ node, zone: label })).max(LIMITS.roster),
    renew: z.literal(true).optional(),
    reboot: holder.optional(),
    now: time,
  }),
  z.object({
    type: z.literal('release'),
    node,
    token: count,
    outcome: z.enum(['ok', 'rolledback', 'skipped']),
    reason: text,
    now: time,
  }),
  z.object({ type: z.literal('already'), node, generation: count, image: digest, now: time }),
  z.object({ type: z.literal('unwell'), node, generation: count, ...reason }),
  z.object({ type: z.literal('soaked'), now: time }),
  z.object({ type: z.literal('stall'), ...reason }),
  ordered('pause'),
  ordered('resume'),
  ordered('promote'),
  ordered('abort'),
  ordered('undo'),
  z.object({ type: z.literal('write-off'), node, ...reason }),
  z.object({ type: z.literal('reconfigure'), voters }),
])

const ballot = z.object({ round: count, node: z.string().max(64) })
const head = { group: label, epoch: count }
const planBytes = z.custom<Uint8Array>(value => value instanceof Uint8Array)
const requestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('read'), ...head }),
  z.object({ type: z.literal('prepare'), ...head, ballot }),
  z.object({
    type: z.literal('accept'),
    ...head,
    ballot,
    value: valueSchema,
    change: z.object({ from: valueSchema, action: actionSchema }).nullable(),
    plan: planBytes.nullable(),
  }),
  z.object({ type: z.literal('install'), group: label, first: valueSchema }),
])
const replySchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('state'), ballot, value: valueSchema }),
  z.object({ type: z.literal('promised'), accepted: ballot, value: valueSchema }),
  z.object({ type: z.literal('accepted') }),
  z.object({ type: z.literal('installed') }),
  z.object({ type: z.literal('rejected'), promised: ballot }),
  z.object({ type: z.literal('moved'), first: valueSchema }),
  z.object({ type: z.literal('not-installed') }),
  z.object({ type: z.literal('need-plan') }),
  z.object({ type: z.literal('illegal'), reason: text }),
])

export const encodeValue = (value: LedgerValue): Uint8Array => encode(value)
export const decodeValue = (bytes: Uint8Array): LedgerValue => parse(valueSchema, bytes, LIMITS.ledgerValue)

export function encodeRequest(request: Request): Uint8Array {
  if (request.type !== 'accept') return encode(request)
  const { change, plan } = request
  const action = change?.action.type === 'start' ? { ...change.action, plan: change.action.plan.bytes } : change?.action
  return encode({
    ...request,
    change: change === null ? null : { from: change.from, action },
    plan: plan?.bytes ?? null,
  })
}

/** `open` is asked for each plan that comes along (`openPlan`), and what it throws is thrown. Throws `corrupt` or `too-large` on what is no request. */
export function decodeRequest(bytes: Uint8Array, open: (plan: Uint8Array) => Statement<Plan>): Request {
  const raw = parse(requestSchema, bytes, LIMITS.rpcMessage)
  if (raw.type !== 'accept') return raw
  const { change, plan } = raw
  const action: Action | undefined =
    change?.action.type === 'start' ? { ...change.action, plan: open(change.action.plan) } : change?.action
  return {
    ...raw,
    change: change === null || action === undefined ? null : { from: change.from, action },
    plan: plan === null ? null : open(plan),
  }
}

export const encodeReply = (reply: Reply): Uint8Array => encode(reply)
export const decodeReply = (bytes: Uint8Array): Reply => parse(replySchema, bytes, LIMITS.rpcMessage)

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, maxBytes: number): T {
  const parsed = check(schema, decode(bytes, maxBytes))
  if (!parsed.success) throw new FleetError('corrupt', `not a ledger message: ${objectionText(parsed.objection)}`)
  return parsed.data
}
