import { describe, expect, test } from 'vitest'
import {
  type Action,
  apply,
  type Ballot,
  genesis,
  isRefusal,
  type LedgerValue,
  type Reply,
  type Request,
  successor,
  type VoterContext,
  type VoterState,
  vote,
} from '../../../rollout/index.ts'
import { later, NODES, NOW, plan } from './fixtures.ts'

const [self, other] = NODES as [(typeof NODES)[0], (typeof NODES)[0]]
const voters = NODES.slice(0, 3)
const first = genesis('web', voters)
const context: VoterContext = {
  self,
  plan: () => undefined,
  genesisVoters: () => voters,
  objection: () => undefined,
  recovered: () => undefined,
  now: () => NOW,
}
const ballot = (round: number, node = other): Ballot => ({ round, node })
const p = plan()
const start: Action = { type: 'start', plan: p, now: NOW }
const made = (value: LedgerValue, action: Action): LedgerValue => {
  const result = apply(value, action, p.body)
  if (isRefusal(result)) throw new Error(result.reason)
  return result
}
/** Well-formed, and larger than a ledger may be. */
const huge: LedgerValue = {
  ...made(first, start),
  permits: Array.from({ length: 1_000 }, (_, token) => ({
    ...{ token, node: NODES[0]!, zone: 'z', kind: 'replace' as const, generation: 1, since: NOW },
  })),
}
const accept = (
  at: Ballot,
  from: LedgerValue,
  action: Action,
  rest: Partial<Extract<Request, { type: 'accept' }>> = {},
): Request => ({
  type: 'accept',
  group: 'web',
  epoch: from.epoch,
  ballot: at,
  value: made(from, action),
  change: { from, action },
  plan: null,
  ...rest,
})
const prepare = (at: Ballot, epoch = 1): Request => ({ type: 'prepare', group: 'web', epoch, ballot: at })

/** A voter, asked one thing after another. */
function voter(state: VoterState | null = null): { ask(request: Request): Reply; state(): VoterState | null } {
  let now = state
  return {
    ask(request) {
      const result = vote(now, request, context)
      now = result.state
      return result.reply
    },
    state: () => now,
  }
}
function installed(): ReturnType<typeof voter> {
  const one = voter()
  expect(one.ask({ type: 'install', group: 'web', first })).toEqual({ type: 'installed' })
  return one
}

describe('ballots', () => {
  test('only a higher ballot is promised, and the one promised is told to who comes too late', () => {
    const one = installed()
    expect(one.ask(prepare(ballot(2)))).toMatchObject({ type: 'promised', value: first })
    expect(one.ask(prepare(ballot(2)))).toEqual({ type: 'rejected', promised: ballot(2) })
    expect(one.ask(prepare(ballot(1, NODES[6])))).toEqual({ type: 'rejected', promised: ballot(2) })
    expect(one.ask(prepare(ballot(3)))).toMatchObject({ type: 'promised' })
  })

  test('of two proposals with one round the one of the greater node is the later', () => {
    const one = installed()
    const [low, high] = [NODES[0]!, NODES[6]!]
    expect(one.ask(prepare(ballot(1, low)))).toMatchObject({ type: 'promised' })
    expect(one.ask(prepare(ballot(1, high)))).toMatchObject({ type: 'promised' })
    expect(one.ask(accept(ballot(1, low), first, start))).toEqual({ type: 'rejected', promised: ballot(1, high) })
  })

  test('what was accepted is told with the next promise and to every reader', () => {
    const one = installed()
    one.ask(prepare(ballot(1)))
    expect(one.ask(accept(ballot(1), first, start))).toEqual({ type: 'accepted' })
    const value = made(first, start)
    expect(one.ask(prepare(ballot(4)))).toEqual({ type: 'promised', accepted: ballot(1), value })
    expect(one.ask({ type: 'read', group: 'web', epoch: 1 })).toEqual({ type: 'state', ballot: ballot(1), value })
  })

  test('the same accept twice gets the same answer', () => {
    const one = installed()
    expect(one.ask(accept(ballot(1), first, start))).toEqual({ type: 'accepted' })
    const before = one.state()
    expect(one.ask(accept(ballot(1), first, start))).toEqual({ type: 'accepted' })
    expect(one.state()).toEqual(before)
  })
})

describe('a voter has no illegal transition on its disk', () => {
  test.each<[string, Request]>([
    [
      'a value that the reducer does not make of the action',
      accept(ballot(1), first, start, { value: { ...made(first, start), nextToken: 9 } }),
    ],
    [
      'an action that the reducer refuses',
      accept(ballot(1), first, start, {
        plan: p,
        change: { from: first, action: { type: 'grant', node: self, zone: 'z', unavailable: [], now: NOW } },
      }),
    ],
    ['a value of another group', accept(ballot(1), first, start, { value: { ...made(first, start), group: 'db' } })],
    [
      'more than it could read again from its disk',
      accept(ballot(1), first, start, { value: huge, change: null, plan: p }),
    ],
    ['a value of another epoch', accept(ballot(1), first, start, { value: { ...made(first, start), epoch: 2 } })],
  ])('%s is refused', (_, request) => {
    const one = installed()
    const before = one.state()
    expect(one.ask(request)).toMatchObject({ type: 'illegal' })
    expect(one.state()).toEqual(before)
  })

  test('a plan that this node objects to does not begin, and one that has expired by its clock goes no further', () => {
    const grant: Action = { type: 'grant', node: self, zone: 'z', unavailable: [], now: NOW }
    const strict = { ...context, objection: () => 'plan 1 would have too many down at once' }
    const late = { ...context, now: () => later(86_400_001) }
    const one = installed()
    const begin = accept(ballot(1), first, start)
    expect(vote(one.state(), begin, strict)).toEqual({
      state: one.state(),
      reply: { type: 'illegal', reason: 'plan 1 would have too many down at once' },
    })
    const forward = accept(ballot(2), made(first, start), grant, { plan: p })
    expect(vote(one.state(), forward, late).reply).toMatchObject({
      type: 'illegal',
      reason: expect.stringContaining('clock of this voter'),
    })
    // Others may have accepted it under the policy before: what is only written again is not judged again.
    const again = { ...begin, change: null, plan: p } as Request
    expect(vote(one.state(), again, strict).reply).toEqual({ type: 'accepted' })
  })

  test('a plan that the voter does not know is asked for first', () => {
    const one = installed()
    const grant: Action = { type: 'grant', node: self, zone: 'z', unavailable: [], now: NOW }
    const request = accept(ballot(1), made(first, start), grant)
    expect(one.ask(request)).toEqual({ type: 'need-plan' })
    expect(one.ask({ ...request, plan: p } as Request)).toEqual({ type: 'accepted' })
    // From then on it has it.
    expect(one.ask({ ...request, ballot: ballot(2) } as Request)).toEqual({ type: 'accepted' })
  })
})

describe('epochs', () => {
  const closed = made(made(first, start), { type: 'reconfigure', voters: NODES.slice(0, 5) })
  const second = successor(closed)

  test('a voter that was not installed answers nothing else', () => {
    const one = voter()
    expect(one.ask(prepare(ballot(1)))).toEqual({ type: 'not-installed' })
    expect(one.ask({ type: 'read', group: 'web', epoch: 1 })).toEqual({ type: 'not-installed' })
    expect(one.state()).toBeNull()
  })

  test('in a later epoch it says where the ledger went, and is not brought back', () => {
    const one = installed()
    expect(one.ask({ type: 'install', group: 'web', first: second })).toEqual({ type: 'installed' })
    expect(one.ask(prepare(ballot(9)))).toEqual({ type: 'moved', first: second })
    expect(one.ask({ type: 'install', group: 'web', first })).toEqual({ type: 'moved', first: second })
  })

  test('an install that comes again does not undo what followed it', () => {
    const one = installed()
    one.ask(accept(ballot(1), first, start))
    const before = one.state()
    expect(one.ask({ type: 'install', group: 'web', first })).toEqual({ type: 'installed' })
    expect(one.state()).toBe(before)
  })

  test('it is no voter of an epoch that does not name it', () => {
    const elsewhere = { ...second, voters: NODES.slice(1, 4) }
    expect(installed().ask({ type: 'install', group: 'web', first: elsewhere })).toMatchObject({ type: 'illegal' })
  })

  test('it is not installed with more than it could read again from its disk', () => {
    const one = voter()
    expect(one.ask({ type: 'install', group: 'web', first: { ...huge, plan: null } })).toMatchObject({
      type: 'illegal',
      reason: expect.stringContaining('more than 65536 bytes'),
    })
    expect(one.state()).toBeNull()
  })

  test('nobody but the policy names the voters of the first epoch', () => {
    const mine = genesis('web', [self, NODES[5]!, NODES[6]!])
    const one = voter()
    expect(one.ask({ type: 'install', group: 'web', first: mine })).toMatchObject({ type: 'illegal' })
    expect(one.state()).toBeNull()
  })
})
