import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createInbox } from '../../../membership/queries/inbox.ts'
import { ANSWER, type Answer, LIMITS, millis, QUERY, type Query, type Statement } from '../../../protocol/index.ts'
import { nodeNumber, T0, unsigned } from '../support.ts'

const asker = nodeNumber(1)
const query = (change: Partial<Query> = {}, clock = T0): Statement<Query> =>
  unsigned(
    QUERY,
    {
      node: asker,
      epoch: 1,
      seq: 1,
      ltime: 1,
      name: 'q',
      payload: new Uint8Array(),
      nodes: [],
      tags: {},
      groups: [],
      zones: [],
      ack: true,
      timeoutMs: 5_000,
      ...change,
    },
    clock,
  )
const answer = (to: Statement<Query>, node: number, type: Answer['type'] = 'ack', size = 0): Statement<Answer> =>
  unsigned(ANSWER, { node: nodeNumber(node), query: to.id, type, payload: new Uint8Array(size) })
const now = millis(T0)

test('a query is taken once, in whatever order and however often the queries of an author come', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ epoch: fc.integer({ min: 1, max: 3 }), seq: fc.integer({ min: 1, max: 40 }) }), {
        maxLength: 120,
      }),
      asked => {
        const inbox = createInbox(now)
        const taken = asked
          .map(each => query(each))
          .filter(each => inbox.hear(now, each) === 'take')
          .map(({ id }) => id)
        expect(new Set(taken).size).toBe(taken.length)
        // Whatever is of the newest epoch that was heard so far, and within the window, is taken.
        const expected = new Set(
          asked
            .filter(({ epoch }, at) => asked.slice(0, at).every(before => before.epoch <= epoch))
            .map(each => query(each).id),
        )
        expect(new Set(taken)).toEqual(expected)
      },
    ),
  )
})

test('what was asked before this life began, or is over for good, is not answered again', () => {
  const inbox = createInbox(millis(T0 + 1_000))
  expect(inbox.hear(millis(T0 + 2_000), query({}, T0 + 999))).toBe('late')
  expect(inbox.hear(millis(T0 + 2_000), query({}, T0 + 1_000))).toBe('take')
  const old = query({ seq: 2 }, T0 + 1_000)
  expect(inbox.hear(millis(T0 + 1_001 + 5_000 + LIMITS.clockSkew), old)).toBe('late')
})

test('one ack and one response, until the deadline, and nothing of a query that is not known', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(7_000), fc.constantFrom<Answer['type']>('ack', 'response')), { maxLength: 20 }),
      said => {
        const inbox = createInbox(now)
        const asked = query()
        expect(inbox.say(now, asked.id, 'ack')).toBe('late')
        inbox.hear(now, asked)
        const done = new Set<string>()
        for (const [after, type] of said.sort(([a], [b]) => a - b)) {
          const expected = after > 5_000 ? 'late' : done.has(type) ? 'twice' : 'go'
          expect(inbox.say(millis(T0 + after), asked.id, type)).toBe(expected)
          if (expected === 'go') done.add(type)
        }
      },
    ),
  )
})

test('who asks too much is not heard for a while, and nobody else minds', () => {
  const inbox = createInbox(now)
  const verdicts = Array.from({ length: 300 }, (_, seq) => inbox.hear(now, query({ seq: seq + 1 })))
  expect(verdicts.filter(verdict => verdict === 'take')).toHaveLength(200)
  expect(verdicts.at(-1)).toBe('too-often')
  expect(inbox.hear(now, query({ node: nodeNumber(2) }))).toBe('take')
  // It counts as not heard: in a second it may be asked again.
  expect(inbox.hear(millis(T0 + 1_000), query({ seq: 300 }))).toBe('take')
  // Large ones cost more.
  const other = createInbox(now)
  const large = (seq: number) => other.hear(now, query({ seq, payload: new Uint8Array(64 * 1024) }))
  expect(Array.from({ length: 50 }, (_, seq) => large(seq + 1)).filter(verdict => verdict === 'take')).toHaveLength(22)
})

test('answers of others are passed on once each, in time, and only so many for one query', () => {
  const inbox = createInbox(now)
  const asked = query()
  expect(inbox.relay(now, answer(asked, 5))).toBe(false)
  inbox.hear(now, asked)
  expect(inbox.relay(now, answer(asked, 5))).toBe(true)
  expect(inbox.relay(now, answer(asked, 5))).toBe(false)
  expect(inbox.relay(now, answer(asked, 5, 'response'))).toBe(true)
  expect(inbox.relay(millis(T0 + 5_001), answer(asked, 6))).toBe(false)
  const passed = Array.from({ length: 40 }, (_, i) => inbox.relay(now, answer(asked, 10 + i, 'response', 64 * 1024)))
  expect(passed.filter(Boolean).length * 64 * 1024).toBeLessThanOrEqual(1024 * 1024)
  expect(passed.filter(Boolean).length).toBeGreaterThan(10)
})

test('Lamport time follows what is heard, and cannot be pushed to its end', () => {
  const inbox = createInbox(now)
  inbox.hear(now, query({ ltime: 7 }))
  expect(inbox.ltime()).toBe(7)
  inbox.hear(now, query({ seq: 2, ltime: 3 }))
  expect(inbox.ltime()).toBe(7)
  inbox.hear(now, query({ seq: 3, ltime: Number.MAX_SAFE_INTEGER }))
  expect(inbox.ltime()).toBeLessThan(2 ** 21)
})
