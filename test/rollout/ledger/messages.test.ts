import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generateKeyPair, LIMITS, openPlan, PHASES, PLAN, sign } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  decodeReply,
  decodeRequest,
  decodeState,
  decodeValue,
  encodeReply,
  encodeRequest,
  encodeState,
  encodeValue,
  genesis,
  isRefusal,
  type LedgerValue,
  type Reply,
  type Request,
  type VoterState,
} from '../../../rollout/index.ts'
import { FLEET, image, NODES, NOW, plan } from './fixtures.ts'

const opened = (bytes: Uint8Array) => openPlan(FLEET.authority, bytes)
const node = fc.constantFrom(...NODES)
const count = fc.nat(1_000_000)
const digest = fc.constantFrom('v1', 'v2', 'v3').map(image)
const time = count.map(ms => (NOW + ms) as typeof NOW)
const bits = fc.uint8Array({ maxLength: 4 })
const value: fc.Arbitrary<LedgerValue> = fc.record({
  group: fc.constantFrom('web', 'db', 'eu-1.shop'),
  version: count,
  epoch: count,
  voters: fc.shuffledSubarray([...NODES], { minLength: 1, maxLength: 7 }),
  successors: fc.option(fc.shuffledSubarray([...NODES], { minLength: 1, maxLength: 5 })),
  generation: count,
  plan: fc.option(digest),
  phase: fc.constantFrom(...PHASES),
  resumeTo: fc.option(fc.constantFrom('canary' as const, 'rolling', 'soaking', 'reversing')),
  wave: count,
  soakUntil: time,
  reason: fc.string({ maxLength: 100 }),
  nextToken: count,
  permits: fc.array(
    fc.record({
      token: count,
      node,
      zone: fc.constantFrom('a', 'b'),
      kind: fc.constantFrom('replace' as const, 'revert'),
      generation: count,
      since: time,
    }),
    { maxLength: 5 },
  ),
  ok: bits,
  failed: bits,
  writtenOff: bits,
  targets: fc.dictionary(fc.constantFrom('app', 'os'), digest, { noNullPrototype: true }),
  denied: fc.array(digest, { maxLength: 3 }),
  fenced: fc.shuffledSubarray([...NODES], { maxLength: 2 }),
  history: fc.array(
    fc.record({
      generation: count,
      plan: digest,
      layer: fc.constantFrom('app', 'os'),
      image: digest,
      version: fc.string({ maxLength: 20 }),
      since: time,
      end: fc.option(
        fc.record({
          phase: fc.constantFrom('done' as const, 'aborted'),
          reason: fc.string({ maxLength: 20 }),
          ok: count,
          failed: count,
          at: time,
        }),
      ),
    }),
    { maxLength: 3 },
  ),
  progressAt: time,
})
const ballot = fc.record({ round: count, node })
const p = plan()
const ordered = fc.constantFrom('stall', 'pause', 'resume', 'promote', 'abort', 'undo')
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.constant<Action>({ type: 'start', plan: p, now: NOW }),
  fc.record({
    type: fc.constant('grant'),
    node,
    zone: fc.constant('z'),
    unavailable: fc.array(fc.record({ node, zone: fc.constant('z') })),
    now: fc.constant(NOW),
  }),
  fc.record({
    type: fc.constant('grant'),
    node,
    zone: fc.constant('z'),
    unavailable: fc.constant([]),
    reboot: fc.constant('zincati'),
    now: fc.constant(NOW),
  }),
  fc.record({
    type: fc.constant('release'),
    node,
    token: count,
    outcome: fc.constantFrom('ok' as const, 'rolledback', 'skipped'),
    reason: fc.string({ maxLength: 50 }),
    now: fc.constant(NOW),
  }),
  fc.record({ type: fc.constant('already'), node, generation: count, image: digest, now: fc.constant(NOW) }),
  ordered.map((type): Action => ({ type, reason: 'x', now: NOW })),
  fc.record({ type: fc.constant('write-off'), node, reason: fc.string({ maxLength: 50 }), now: fc.constant(NOW) }),
  fc.record({ type: fc.constant('reconfigure'), voters: fc.shuffledSubarray([...NODES], { minLength: 1 }) }),
) as fc.Arbitrary<Action>
const head = { group: fc.constant('web'), epoch: count }
const request = fc.oneof(
  fc.record({ type: fc.constant('read'), ...head }),
  fc.record({ type: fc.constant('prepare'), ...head, ballot }),
  fc.record({
    type: fc.constant('accept'),
    ...head,
    ballot,
    value,
    change: fc.option(fc.record({ from: value, action })),
    plan: fc.option(fc.constant(p)),
  }),
  fc.record({ type: fc.constant('install'), group: fc.constant('web'), first: value }),
) as fc.Arbitrary<Request>
const reply = fc.oneof(
  fc.record({ type: fc.constant('state'), ballot, value }),
  fc.record({ type: fc.constant('promised'), accepted: ballot, value }),
  fc.constantFrom({ type: 'accepted' }, { type: 'installed' }, { type: 'not-installed' }, { type: 'need-plan' }),
  fc.record({ type: fc.constant('rejected'), promised: ballot }),
  fc.record({ type: fc.constant('moved'), first: value }),
  fc.record({ type: fc.constant('illegal'), reason: fc.string({ maxLength: 100 }) }),
) as fc.Arbitrary<Reply>

/** What is left of a decoded message when a plan is put down to its bytes, as it travels. */
const plain = (message: unknown): unknown =>
  JSON.parse(
    JSON.stringify(message, (_, part) =>
      part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part?.signers !== undefined ? part.id : part,
    ),
  )

describe('what was encoded is decoded', () => {
  test('requests', () => {
    fc.assert(
      fc.property(request, message => {
        expect(plain(decodeRequest(encodeRequest(message), opened))).toEqual(plain(message))
      }),
    )
  })
  test('replies', () => {
    fc.assert(
      fc.property(reply, message => {
        expect(plain(decodeReply(encodeReply(message)))).toEqual(plain(message))
      }),
    )
  })
  test('values, in a form that the reducer takes for the same', () => {
    fc.assert(
      fc.property(value, one => {
        expect(decodeValue(encodeValue(one))).toEqual(one)
      }),
    )
  })
  test("a voter's state", () => {
    fc.assert(
      fc.property(value, value, ballot, ballot, fc.boolean(), (first, now, promised, accepted, hasPlan) => {
        const state: VoterState = { first, promised, accepted, value: now, plan: hasPlan ? p : null }
        const back = decodeState(encodeState(state), bytes => (Buffer.from(bytes).equals(p.bytes) ? p : null))
        expect(back).toEqual(state)
      }),
    )
  })
})

describe('what is no message is refused, and never more than that', () => {
  test('bytes of any kind', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(() => decodeRequest(bytes, opened)).toThrow()
        expect(() => decodeReply(bytes)).toThrow()
        expect(() => decodeState(bytes, () => null)).toThrow(/cannot vote/)
      }),
    )
  })

  test('a message with one byte changed is refused or is another message, but does not crash', () => {
    fc.assert(
      fc.property(request, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, at, by) => {
        const bytes = Uint8Array.from(encodeRequest(message))
        bytes[at % bytes.length] = bytes[at % bytes.length]! ^ by
        try {
          decodeRequest(bytes, opened)
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/corrupt|too-large|unauthorized|invalid/)
        }
      }),
    )
  })

  test('more bytes than a message may have', () => {
    expect(() => decodeReply(new Uint8Array(LIMITS.rpcMessage + 1))).toThrow(/large|limit|bytes/)
  })

  test('a plan that no operator signed', () => {
    const forged = sign(PLAN, FLEET.id, NOW, p.body, [generateKeyPair()])
    const first = genesis('web', NODES.slice(0, 3))
    const action: Action = { type: 'start', plan: forged, now: NOW }
    const made = apply(first, action, p.body)
    if (isRefusal(made)) throw new Error(made.reason)
    const message: Request = {
      type: 'accept',
      group: 'web',
      epoch: 1,
      ballot: { round: 1, node: NODES[0]! },
      value: made,
      change: { from: first, action },
      plan: null,
    }
    expect(() => decodeRequest(encodeRequest(message), opened)).toThrow(/operator|signed/)
  })
})
