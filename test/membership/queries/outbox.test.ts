import fc from 'fast-check'
import { expect, test } from 'vitest'
import { passes } from '../../../membership/queries/filters.ts'
import { createOutbox } from '../../../membership/queries/outbox.ts'
import { answerDelay, defaultTimeout } from '../../../membership/queries/timing.ts'
import {
  ANSWER,
  type Answer,
  millis,
  QUERY,
  type Query,
  type Statement,
  seededRandom,
} from '../../../protocol/index.ts'
import { nodeNumber, T0, unsigned } from '../support.ts'

const query = (seq: number, change: Partial<Query> = {}): Statement<Query> =>
  unsigned(QUERY, {
    node: nodeNumber(0),
    epoch: 1,
    seq,
    ltime: 1,
    name: 'q',
    payload: new Uint8Array(),
    nodes: [],
    tags: {},
    groups: [],
    zones: [],
    ack: true,
    timeoutMs: 1_000,
    ...change,
  })
const answer = (to: Statement<Query>, node: number, type: Answer['type'], salt = 0): Statement<Answer> =>
  unsigned(ANSWER, { node: nodeNumber(node), query: to.id, type, payload: Uint8Array.of(salt) })

const QUERIES = [
  query(1),
  query(2, { ack: false }),
  query(3, { nodes: [nodeNumber(1), nodeNumber(2)] }),
  query(4), // never asked by us
] as const

test('of all that comes, duplicates, late and foreign answers too, each node counts once for its ack and once for its response', () => {
  const incoming = fc.record({
    to: fc.integer({ min: 0, max: 3 }),
    node: fc.integer({ min: 1, max: 4 }),
    type: fc.constantFrom<Answer['type']>('ack', 'response'),
    salt: fc.integer({ min: 0, max: 1 }),
    after: fc.nat(1_500),
  })
  fc.assert(
    fc.property(fc.array(incoming, { maxLength: 60 }), list => {
      const outbox = createOutbox()
      for (const each of QUERIES.slice(0, 3)) outbox.begin(millis(T0), each)
      const counted = QUERIES.map(() => ({ ack: new Set<number>(), response: new Set<number>() }))
      for (const { to, node, type, salt, after } of list.sort((a, b) => a.after - b.after)) {
        const due =
          to < 3 &&
          after <= 1_000 &&
          (type === 'response' || to !== 1) &&
          (to !== 2 || node <= 2) &&
          !counted[to]![type].has(node)
        expect(outbox.take(millis(T0 + after), answer(QUERIES[to]!, node, type, salt))).toBe(due)
        if (due) counted[to]![type].add(node)
      }
      for (const [at, { ack, response }] of counted.entries())
        expect(outbox.end(QUERIES[at]!.id)).toEqual({ acks: ack.size, responses: response.size })
      expect(outbox.size).toBe(0)
      expect(outbox.take(millis(T0), answer(QUERIES[0], 1, 'ack'))).toBe(false)
    }),
  )
})

test('it is known when all that were asked have acknowledged', () => {
  const outbox = createOutbox()
  outbox.begin(millis(T0), QUERIES[0])
  outbox.take(millis(T0), answer(QUERIES[0], 1, 'ack'))
  outbox.take(millis(T0), answer(QUERIES[0], 2, 'response'))
  expect(outbox.acknowledged(QUERIES[0].id, [nodeNumber(1), nodeNumber(2)])).toBe(false)
  outbox.take(millis(T0), answer(QUERIES[0], 2, 'ack'))
  expect(outbox.acknowledged(QUERIES[0].id, [nodeNumber(1), nodeNumber(2)])).toBe(true)
})

test('the default timeout grows with the fleet, and answers of many are spread within it', () => {
  expect(defaultTimeout(5)).toBe(3_010)
  expect(defaultTimeout(99)).toBe(6_198)
  expect(defaultTimeout(10_000)).toBe(35_000)
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 1, max: 600_000 }),
      (seed, n, timeout) => {
        const delay = answerDelay(seededRandom(seed), n, false, timeout)
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(Math.min(2 * n, timeout / 4))
        expect(answerDelay(seededRandom(seed), n, true, timeout)).toBe(0)
      },
    ),
  )
})

test('a node has to pass every filter, and a tag that it lacks is an empty value', () => {
  const node = { id: nodeNumber(1), group: 'web', zone: 'z1', tags: { role: 'db' } }
  const all = { nodes: [], tags: {}, groups: [], zones: [] }
  const matches = (pattern: string, value: string): boolean => pattern === value
  expect(passes(all, node, matches)).toBe(true)
  expect(
    passes({ ...all, nodes: [nodeNumber(1)], groups: ['web'], zones: ['z1'], tags: { role: 'db' } }, node, matches),
  ).toBe(true)
  expect(passes({ ...all, nodes: [nodeNumber(2)] }, node, matches)).toBe(false)
  expect(passes({ ...all, groups: ['db'] }, node, matches)).toBe(false)
  expect(passes({ ...all, zones: ['z2'] }, node, matches)).toBe(false)
  expect(passes({ ...all, tags: { role: 'db', rack: '1' } }, node, matches)).toBe(false)
  expect(passes({ ...all, tags: { rack: '' } }, node, matches)).toBe(true)
  expect(passes({ ...all, tags: { constructor: '' } }, node, matches)).toBe(true)
})
