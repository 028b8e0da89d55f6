import { encode, LIMITS, openPlan } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  decodeReply,
  decodeRequest,
  decodeValue,
  encodeReply,
  encodeRequest,
  encodeValue,
  genesis,
  isRefusal,
  type LedgerValue,
  type Reply,
  type Request,
} from '../../../rollout/index.ts'
import { NODES, NOW, plan } from '../../rollout/ledger/fixtures.ts'
import { assertSame, crowd, HOSTILE, nils, type Target } from '../target.ts'
import { parse, print, type Tree } from '../tree.ts'
import { AUTHORITY } from '../world.ts'
import { resign } from './statement.ts'

const opened = (bytes: Uint8Array) => openPlan(AUTHORITY, bytes)
const ordered = plan()
const first = genesis('web', NODES.slice(0, 3))
function after(value: LedgerValue, action: Action): LedgerValue {
  const next = apply(value, action, ordered.body)
  if (isRefusal(next)) throw new Error(next.reason)
  return next
}
const started = after(first, { type: 'start', plan: ordered, now: NOW })
const grant: Action = { type: 'grant', node: ordered.body.roster[0]!, zone: 'z', unavailable: [], now: NOW }
const granted = after(started, grant)
const ballot = { round: 3, node: NODES[0]! }
const head = { group: 'web', epoch: 1 }
const VALUES = [first, started, granted]
const REQUESTS: readonly Request[] = [
  { type: 'read', ...head },
  { type: 'prepare', ...head, ballot },
  { type: 'install', group: 'web', first },
  { type: 'accept', ...head, ballot, value: granted, change: null, plan: null },
  { type: 'accept', ...head, ballot, value: granted, change: { from: started, action: grant }, plan: ordered },
  {
    type: 'accept',
    ...head,
    ballot,
    value: started,
    change: { from: first, action: { type: 'start', plan: ordered, now: NOW } },
    plan: null,
  },
]
const REPLIES: readonly Reply[] = [
  { type: 'state', ballot, value: granted },
  { type: 'promised', accepted: ballot, value: first },
  { type: 'accepted' },
  { type: 'installed' },
  { type: 'rejected', promised: ballot },
  { type: 'moved', first },
  { type: 'not-installed' },
  { type: 'need-plan' },
  { type: 'illegal', reason: 'no' },
]
const HEAVY = [
  { ...granted, permits: nils(900_000) },
  { ...granted, permits: new Array(4_000).fill(granted.permits[0]) },
  { ...granted, targets: crowd(60_000) },
  { ...granted, targets: Object.fromEntries(Array.from({ length: 13_000 }, (_, i) => [`l${i}`, ordered.body.image])) },
  { ...granted, reason: 'x'.repeat(900_000) },
]

export const ledgerValue: Target = {
  name: 'ledger-value',
  maxBytes: LIMITS.ledgerValue + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [...HOSTILE, ...VALUES.map(encodeValue), encode({ ...granted, targets: crowd(10_000) })],
  run: decodeValue,
  verify: (value: LedgerValue) => assertSame('a value', value, decodeValue(encodeValue(value))),
}

export const ledgerRequest: Target = {
  name: 'ledger-request',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large', 'unauthorized'],
  seeds: () => [
    ...HOSTILE,
    ...REQUESTS.map(encodeRequest),
    ...HEAVY.map(value => encode({ type: 'accept', ...head, ballot, value, change: null, plan: null })),
  ],
  run: input => decodeRequest(input, opened),
  verify: (request: Request) => assertSame('a request', request, decodeRequest(encodeRequest(request), opened)),
  mend(input) {
    const tree = parse(input)
    return tree instanceof Map ? print(mended(tree)) : input
  },
}

/** Plans inside a request, under a signature that counts. */
function mended(tree: Tree): Tree {
  if (!(tree instanceof Map)) return tree
  return new Map(
    [...tree].map(([key, value]) => [
      key,
      key === 'plan' && value instanceof Uint8Array ? resign(value) : mended(value),
    ]),
  )
}

export const ledgerReply: Target = {
  name: 'ledger-reply',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    ...REPLIES.map(encodeReply),
    ...HEAVY.map(value => encode({ type: 'moved', first: value })),
  ],
  run: decodeReply,
  verify: (reply: Reply) => assertSame('a reply', reply, decodeReply(encodeReply(reply))),
}
