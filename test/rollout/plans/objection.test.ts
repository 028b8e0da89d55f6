import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { budgetOf, type Plan, type Policy, type Statement } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  genesis,
  isRefusal,
  type LedgerValue,
  objectionTo,
  overPolicy,
} from '../../../rollout/index.ts'
import { later, NODES, NOW, plan } from '../ledger/fixtures.ts'

const policy = (maxUnavailable?: number | string): Policy => ({
  version: 3,
  previous: null,
  operators: [],
  threshold: 1,
  publishers: [],
  groups: {
    web: { genesisVoters: NODES.slice(0, 1), ...(maxUnavailable === undefined ? {} : { maxUnavailable }) },
    '*': { genesisVoters: NODES.slice(0, 1), maxUnavailable: 1 },
  },
  nonce: 0,
})
const members = NODES.map((id, at) => ({ id, name: `n${at}`, group: at < 6 ? 'web' : 'db' }))
const fresh = genesis('web', NODES.slice(0, 3))
const did = (value: LedgerValue, action: Action, under?: Statement<Plan>): LedgerValue => {
  const result = apply(value, action, under?.body)
  if (isRefusal(result)) throw new Error(result.reason)
  return result
}
const started = did(fresh, { type: 'start', plan: plan(), now: NOW })
const aborted = did(started, { type: 'abort', reason: '', now: NOW }, plan())
const second = plan({ generation: 2 })
const later2 = did(did(aborted, { type: 'start', plan: second, now: NOW }), { type: 'abort', reason: '', now: NOW })

const judge = (p: Statement<Plan>, value: LedgerValue | undefined, budget?: number | string, now = NOW) =>
  objectionTo(p, { now, policy: policy(budget), members, value })?.refused

describe('a plan that operators have signed', () => {
  test('is taken where nothing speaks against it, also by who has heard nothing of the ledger', () => {
    expect(judge(plan(), fresh)).toBeUndefined()
    expect(judge(plan(), undefined)).toBeUndefined()
  })

  test.each<[string, Statement<Plan>, LedgerValue, number]>([
    ['expired', plan({ notAfter: later(-1) }), fresh, 0],
    ['replayed', plan(), aborted, 0],
    ['replayed', plan(), later2, 0],
    ['stale', plan({ reason: 'another of the same number' }), later2, 0],
    ['stale', plan({ generation: 2, reason: 'another' }), later2, 0],
    ['wrong-group', plan({ roster: [NODES[0]!, NODES[6]!] }), fresh, 0],
    ['over-budget', plan({ maxUnavailable: 3 }), fresh, 2],
  ])('is refused as %s', (refused, p, value, budget) => {
    const found = objectionTo(p, { now: NOW, policy: policy(budget === 0 ? undefined : budget), members, value })
    expect(found?.refused).toBe(refused)
    expect(found?.reason).toMatch(/(plan|generation) [12] /)
  })

  test('is not objected to while the ledger is at work on it: whoever returns late has to be able to undo it', () => {
    expect(judge(plan(), started, 1, later(30 * 86_400_000))).toBeUndefined()
  })
})

test('a share is one of all members of the group that are known, and of the roster where fewer are', () => {
  expect(judge(plan({ maxUnavailable: 3 }), fresh, '50%')).toBeUndefined() // of six
  expect(judge(plan({ maxUnavailable: 4 }), fresh, '50%')).toBe('over-budget')
  expect(overPolicy(plan({ maxUnavailable: 2 }).body, { policy: policy('50%'), members: [] })).toBeUndefined() // of five
  expect(overPolicy(plan({ maxUnavailable: 3 }).body, { policy: policy('50%'), members: [] })?.refused).toBe(
    'over-budget',
  )
})

test('no plan with more down than the budget is let through, and none within it is stopped', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), (wanted, allowed) => {
      expect(judge(plan({ maxUnavailable: wanted }), fresh, allowed) === 'over-budget').toBe(wanted > allowed)
    }),
  )
  expect(budgetOf(policy('1%'), 'web', 6)).toBe(1)
  expect(budgetOf(policy(), 'web', 6)).toBeUndefined()
  expect(budgetOf(policy(), 'db', 6)).toBe(1)
})
