import { AUDIT_HEAD } from '../../../protocol/audit/head.ts'
import {
  checkCertificate,
  encode,
  isPublisher,
  type KeyPair,
  LIMITS,
  open,
  openAnswer,
  openAuditHead,
  openDismissal,
  openEvent,
  openMarkOrder,
  openOrder,
  openPlan,
  openPush,
  openQuery,
  openRecord,
  openRecovery,
  openSuspicion,
  openVitals,
  type Statement,
  type StatementKind,
  sign,
  withPolicy,
  withRevocation,
} from '../../../protocol/index.ts'
import { ENDORSEMENT } from '../../../protocol/manifest.ts'
import { CERTIFICATE, INVITE, REVOCATION } from '../../../protocol/statements/admission.ts'
import { EVENT } from '../../../protocol/statements/event.ts'
import { MARK_ORDER } from '../../../protocol/statements/mark.ts'
import { DISMISSAL, RECORD, SUSPICION, VITALS } from '../../../protocol/statements/member.ts'
import { NOTICE } from '../../../protocol/statements/notice.ts'
import { POLICY } from '../../../protocol/statements/policy.ts'
import { PUSH } from '../../../protocol/statements/push.ts'
import { ANSWER, QUERY } from '../../../protocol/statements/query.ts'
import { RECOVERY } from '../../../protocol/statements/recovery.ts'
import { ORDER, PLAN } from '../../../protocol/statements/rollout.ts'
import { encodeValue, genesis } from '../../../rollout/index.ts'
import { image, plan } from '../../rollout/ledger/fixtures.ts'
import { assertSame, HOSTILE, nils, type Target } from '../target.ts'
import { parse, print } from '../tree.ts'
import {
  AUTHORITY,
  CERTIFICATE_OF_NODE,
  INVITE_OF_NODE,
  INVITED,
  NODE,
  NODE_KEY,
  NOW,
  OPERATOR,
  PEER,
  signed,
} from '../world.ts'

/** How the daemon opens each kind, and whose signature an input of the kind gets. */
const KINDS: readonly { kind: StatementKind<unknown>; by: KeyPair; open: (bytes: Uint8Array) => unknown }[] = [
  { kind: POLICY, by: OPERATOR, open: bytes => withPolicy(AUTHORITY, bytes) },
  { kind: INVITE, by: OPERATOR, open: bytes => open(INVITE, AUTHORITY.fleet, bytes) },
  { kind: CERTIFICATE, by: INVITED, open: bytes => checkCertificate(AUTHORITY, bytes, NOW) },
  { kind: RECORD, by: NODE_KEY, open: bytes => openRecord(AUTHORITY, bytes, NOW) },
  { kind: VITALS, by: NODE_KEY, open: bytes => openVitals(AUTHORITY, bytes, NOW) },
  { kind: SUSPICION, by: NODE_KEY, open: bytes => openSuspicion(AUTHORITY, bytes, NOW) },
  { kind: PLAN, by: OPERATOR, open: bytes => openPlan(AUTHORITY, bytes) },
  { kind: ORDER, by: OPERATOR, open: bytes => openOrder(AUTHORITY, bytes) },
  { kind: REVOCATION, by: OPERATOR, open: bytes => withRevocation(AUTHORITY, bytes) },
  { kind: RECOVERY, by: OPERATOR, open: bytes => openRecovery(AUTHORITY, bytes) },
  { kind: ENDORSEMENT, by: OPERATOR, open: bytes => isPublisher(AUTHORITY, open(ENDORSEMENT, AUTHORITY.fleet, bytes)) },
  { kind: EVENT, by: NODE_KEY, open: bytes => openEvent(AUTHORITY, bytes, NOW) },
  { kind: QUERY, by: NODE_KEY, open: bytes => openQuery(AUTHORITY, bytes, NOW) },
  { kind: ANSWER, by: NODE_KEY, open: bytes => openAnswer(AUTHORITY, bytes, NOW) },
  { kind: DISMISSAL, by: NODE_KEY, open: bytes => openDismissal(AUTHORITY, bytes, NOW) },
  { kind: PUSH, by: NODE_KEY, open: bytes => openPush(AUTHORITY, bytes, NOW) },
  { kind: AUDIT_HEAD, by: NODE_KEY, open: bytes => openAuditHead(AUTHORITY, bytes, NOW) },
  { kind: MARK_ORDER, by: OPERATOR, open: bytes => openMarkOrder(AUTHORITY, bytes, NOW) },
  { kind: NOTICE, by: NODE_KEY, open: bytes => open(NOTICE, AUTHORITY.fleet, bytes) },
]

function domainOf(input: Uint8Array): unknown {
  const envelope = parse(input)
  const body = Array.isArray(envelope) ? envelope[0] : undefined
  const head = body instanceof Uint8Array ? parse(body) : undefined
  return Array.isArray(head) ? head[0] : undefined
}

const kindOf = (input: Uint8Array) => {
  const domain = domainOf(input)
  return KINDS.find(({ kind }) => kind.domain === domain) ?? KINDS[input.byteLength % KINDS.length]!
}

/** The body under a signature that counts. */
export function resign(input: Uint8Array): Uint8Array {
  const envelope = parse(input)
  const body = Array.isArray(envelope) ? envelope[0] : undefined
  if (!(body instanceof Uint8Array)) return input
  const { by } = kindOf(input)
  return print([body, [[Uint8Array.from(Buffer.from(by.publicKey, 'hex')), by.sign(body)]]])
}

const policy = (generation: number) =>
  signed(
    POLICY,
    {
      ...AUTHORITY.policy,
      version: generation,
      previous: AUTHORITY.chain[0]!.id,
      publishers: [OPERATOR.publicKey],
      groups: {
        web: { maxUnavailable: '25%', genesisVoters: [NODE] },
        '*': { genesisVoters: [NODE, PEER, plan().body.roster[0]!] },
      },
    },
    OPERATOR,
  )
const record = signed(
  RECORD,
  {
    node: NODE,
    epoch: 3,
    seq: 9,
    presence: 'here',
    name: 'web-1',
    addresses: ['/ip4/192.0.2.1/tcp/7946', '/ip6/2001:db8::1/tcp/7946'] as never,
    class: 'intermittent',
    zone: 'eu-1',
    group: 'web',
    tags: { role: 'web', rack: 'a1' },
    version: '0.1.0',
    contactDeadline: 86_400_000,
    certificate: CERTIFICATE_OF_NODE.bytes,
  },
  NODE_KEY,
)
const vitals = signed(
  VITALS,
  {
    node: NODE,
    epoch: 3,
    seq: 10,
    health: 'failing',
    reason: 'check http failed',
    layers: [{ layer: 'app', digest: image('v1'), version: 'shop:1', state: 'fetching', progress: 0.5 }],
    images: [image('v1'), image('v2')],
    taint: ['manual'],
  },
  NODE_KEY,
)

export const STATEMENTS: readonly Statement<unknown>[] = [
  policy(2),
  INVITE_OF_NODE,
  signed(INVITE, { ...INVITE_OF_NODE.body, class: 'cloud', group: 'web', zone: 'a', tags: { a: 'b' } }, OPERATOR),
  CERTIFICATE_OF_NODE,
  record,
  vitals,
  signed(SUSPICION, { subject: PEER, epoch: 1, seq: 1, evidence: 'refused', since: NOW }, NODE_KEY),
  sign(PLAN, AUTHORITY.fleet, NOW, plan().body, [OPERATOR]),
  sign(PLAN, AUTHORITY.fleet, NOW, plan({ canary: 1, previous: image('v1'), generation: 7 }).body, [OPERATOR]),
  signed(ORDER, { group: 'web', generation: 1, verb: 'write-off', node: PEER, reason: 'gone' }, OPERATOR),
  signed(REVOCATION, { node: PEER, reason: 'stolen' }, OPERATOR),
  signed(
    RECOVERY,
    {
      ...{ group: 'web', epoch: 1_000_000, voters: [NODE], lost: [PEER], fenced: [PEER], version: 1, generation: 2 },
      ...{ members: [{ node: NODE, zone: 'a' }], nextToken: 3, targets: { app: image('v1') }, denied: [image('v2')] },
      ...{ at: NOW, reason: 'burnt' },
    },
    OPERATOR,
  ),
  signed(ENDORSEMENT, { image: image('v1') }, OPERATOR),
  signed(
    EVENT,
    {
      ...{ node: NODE, seq: 4, ltime: 9, name: 'deploy', payload: Uint8Array.of(1, 2), coalesce: true },
      after: [[PEER, 3]],
    },
    NODE_KEY,
  ),
  signed(
    QUERY,
    {
      ...{ node: NODE, epoch: 1, seq: 1, ltime: 2, name: 'load', payload: Uint8Array.of(1), nodes: [PEER] },
      ...{ tags: { role: 'we.*' }, groups: ['web'], zones: ['a'], ack: true, timeoutMs: 1_000 },
    },
    NODE_KEY,
  ),
  signed(ANSWER, { node: NODE, query: image('q'), type: 'response', payload: Uint8Array.of(3) }, NODE_KEY),
  signed(DISMISSAL, { subject: PEER, epoch: 1, seq: 1, presence: 'here', prune: true }, NODE_KEY),
  signed(
    PUSH,
    {
      ...{ node: NODE, certificate: CERTIFICATE_OF_NODE.bytes, repository: 'team/shop', reference: 'v1', at: NOW },
      pushed: { manifest: image('m'), image: image('v1'), subject: image('s') },
    },
    NODE_KEY,
  ),
  signed(
    PUSH,
    {
      ...{ node: NODE, certificate: CERTIFICATE_OF_NODE.bytes, repository: 'shop', pushed: null, at: NOW },
      reference: `sha256:${image('m')}`,
    },
    NODE_KEY,
  ),
  signed(AUDIT_HEAD, { node: NODE, epoch: 2, seq: 9, hash: image('h') }, NODE_KEY),
  signed(MARK_ORDER, { node: NODE, layer: 'app', act: 'hotfix', until: NOW, reason: 'ticket 812' }, OPERATOR),
  signed(NOTICE, { group: 'web', epoch: 1, version: 0, value: encodeValue(genesis('web', [NODE])) }, NODE_KEY),
]

/** Bodies that no `sign` would make, under good signatures: the most of everything that fits. */
const heavy = (kind: StatementKind<unknown>, body: unknown): Uint8Array =>
  resign(print([encode([kind.domain, AUTHORITY.fleet, NOW, body]), []]))
const crowded = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, value]))

export const statement: Target = {
  name: 'statement',
  maxBytes: LIMITS.plan + 64,
  refusals: ['corrupt', 'too-large', 'unauthorized', 'conflict'],
  seeds: () => [
    ...HOSTILE,
    ...STATEMENTS.map(({ bytes }) => bytes),
    heavy(PLAN, { ...plan().body, roster: nils(250_000) }),
    heavy(PLAN, { ...plan().body, roster: new Array(4096).fill(plan().body.roster[0]) }),
    heavy(PLAN, { ...plan().body, reason: 'x'.repeat(250_000) }),
    heavy(PLAN, crowded(25_000, null)),
    heavy(POLICY, { ...policy(2).body, groups: crowded(5_000, { genesisVoters: [NODE] }) }),
    heavy(POLICY, { ...policy(2).body, groups: crowded(8_000, null) }),
    heavy(RECORD, { ...record.body, tags: crowded(1_000, '') }),
    heavy(VITALS, { ...vitals.body, layers: nils(6_000) }),
  ],
  run: input => kindOf(input).open(input),
  verify(_: never, input) {
    const { kind, by } = kindOf(input)
    const { clock, body } = open(kind, AUTHORITY.fleet, input)
    const again = sign(kind, AUTHORITY.fleet, clock, body, [by])
    assertSame(kind.domain, body, open(kind, AUTHORITY.fleet, again.bytes).body)
  },
  mend: resign,
}
