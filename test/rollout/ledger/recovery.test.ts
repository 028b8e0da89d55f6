import { expect, test } from 'vitest'
import { ERA, type Recovery, recoverySchema, seededRandom } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  createReplacement,
  draftRecovery,
  genesis,
  isRefusal,
  type LedgerValue,
  type Request,
  recovered,
  type VoterContext,
  type VoterState,
  vote,
} from '../../../rollout/index.ts'
import { image, later, NODES, NOW, plan } from './fixtures.ts'

const voters = NODES.slice(0, 3)
const p = plan({ maxUnavailable: 2, roster: NODES.slice(2, 6) })
const act = (value: LedgerValue, ...actions: Action[]): LedgerValue =>
  actions.reduce((before, action) => {
    const result = apply(before, action, p.body)
    if (isRefusal(result)) throw new Error(result.reason)
    return result
  }, value)
const start: Action = { type: 'start', plan: p, now: NOW }
const grant = (at: number): Action => ({ type: 'grant', node: NODES[at]!, zone: 'z', unavailable: [], now: NOW })
const base = act(genesis('web', voters), start, grant(2))
const draft: Recovery = draftRecovery(base, {
  voters: [NODES[2]!, NODES[3]!, NODES[4]!],
  lost: [NODES[0]!, NODES[1]!],
  members: NODES.slice(0, 6).map(node => ({ node, zone: 'z' })),
  planned: 4,
  now: later(1_000),
  chance: 7,
})
const first = recovered(draft)

test('a recovery goes on above everything that is known, with a permit for everybody but those who are lost', () => {
  expect(recoverySchema.parse(draft)).toEqual(draft)
  expect(first).toMatchObject({
    epoch: ERA + 7,
    version: base.version + 1,
    generation: 5,
    phase: 'aborted',
    plan: null,
  })
  expect(first.permits.map(({ node, kind }) => [node, kind])).toEqual(NODES.slice(2, 6).map(node => [node, 'recover']))
  expect(Math.min(...first.permits.map(({ token }) => token))).toBeGreaterThan(base.nextToken)
  expect(first.nextToken).toBeGreaterThan(Math.max(...first.permits.map(({ token }) => token)))
  expect(first.fenced).toEqual(NODES.slice(0, 2))
  expect(recovered(draft)).toEqual(first)
})

test('nothing is granted before all but K-1 have given their permit back, and theirs is for nothing else', () => {
  const next = plan({ maxUnavailable: 2, roster: NODES.slice(2, 6), generation: 6 })
  const step = (value: LedgerValue, action: Action) => apply(value, action, next.body)
  const ok = (value: LedgerValue, action: Action): LedgerValue => {
    const result = step(value, action)
    if (isRefusal(result)) throw new Error(result.reason)
    return result
  }
  let value = ok(first, { type: 'start', plan: next, now: NOW })
  expect(step(value, grant(2))).toMatchObject({ refused: 'turn' })
  const giveBack = (at: number): void => {
    const { token, node } = first.permits.find(permit => permit.node === NODES[at])!
    value = ok(value, { type: 'release', node, token, outcome: 'skipped', reason: '', now: NOW })
  }
  giveBack(2)
  giveBack(3)
  expect(step(value, grant(2))).toMatchObject({ refused: 'budget' })
  giveBack(4)
  value = ok(value, grant(2))
  expect(step(value, grant(3))).toMatchObject({ refused: 'budget' })
  expect(isRefusal(apply(first, start, p.body)) && 'an older plan does not begin').toBe('an older plan does not begin')
})

test('voters of a recovered ledger are none of those that were lost', () => {
  const lost: Action = { type: 'reconfigure', voters: [NODES[0]!, NODES[2]!, NODES[3]!] }
  expect(apply(first, lost, undefined)).toMatchObject({ refused: 'fenced' })
})

const context = (self: number, known: LedgerValue | undefined): VoterContext => ({
  self: NODES[self]!,
  plan: () => undefined,
  genesisVoters: () => voters,
  objection: () => undefined,
  recovered: () => known,
  now: () => NOW,
})
const old: VoterState = (() => {
  const { state } = vote(null, { type: 'install', group: 'web', first: genesis('web', voters) }, context(0, undefined))
  return state!
})()
const read = (epoch: number): Request => ({ type: 'read', group: 'web', epoch })
const prepare = (epoch: number): Request => ({
  type: 'prepare',
  group: 'web',
  epoch,
  ballot: { round: 1, node: NODES[6]! },
})

test('a voter of before that has heard of the recovery answers for nothing before it', () => {
  for (const request of [read(1), prepare(1)]) {
    expect(vote(old, request, context(0, undefined)).reply.type).not.toBe('moved')
    expect(vote(old, request, context(0, first)).reply).toEqual({ type: 'moved', first })
  }
  const late = vote(
    old,
    { type: 'install', group: 'web', first: { ...genesis('web', voters), epoch: 2 } },
    context(0, first),
  )
  expect(late).toEqual({ state: old, reply: { type: 'moved', first } })
})

test('a voter that the operator named is one as soon as it has heard of it, whatever it was before', () => {
  const { state, reply } = vote(null, prepare(first.epoch), context(3, first))
  expect(reply).toMatchObject({ type: 'promised', value: first })
  expect(state).toMatchObject({ first, value: first, promised: { round: 1 } })
  expect(vote(old, read(1), context(2, first)).reply).toEqual({ type: 'moved', first })
  // What was written since does not go when it is asked again.
  expect(vote(state, { type: 'install', group: 'web', first }, context(3, first))).toEqual({
    state,
    reply: { type: 'installed' },
  })
})

test('an epoch that begins with an operator’s word is opened nowhere without it', () => {
  const install: Request = { type: 'install', group: 'web', first }
  const after: Request = { type: 'install', group: 'web', first: { ...first, epoch: first.epoch + 1 } }
  expect(vote(null, install, context(3, undefined))).toMatchObject({ state: null, reply: { type: 'illegal' } })
  expect(vote(null, after, context(3, undefined))).toMatchObject({ state: null, reply: { type: 'illegal' } })
  expect(vote(null, after, context(3, first)).reply).toEqual({ type: 'installed' })
  // Another recovery is above it: what follows the lower one is followed no more.
  const higher = recovered({ ...draft, epoch: draft.epoch + 100 })
  expect(vote(null, after, context(5, higher)).reply).toEqual({ type: 'moved', first: higher })
})

test('a node that is given a permit of a recovery when it asks for one gives it back, and goes down under none of it', () => {
  const next = plan({ roster: NODES.slice(2, 6), generation: 6 })
  const machine = createReplacement({
    ...{ node: NODES[3]!, layer: 'app', current: image('v1'), intent: null, random: seededRandom(1) },
  })
  const started = apply(first, { type: 'start', plan: next, now: NOW }, next.body)
  if (isRefusal(started)) throw new Error(started.reason)
  machine.step(NOW, { type: 'ledger', value: started, plan: next })
  machine.step(NOW, { type: 'staged', image: image('v2') })
  machine.step(NOW, { type: 'ready', answer: 'ok', reason: '' })
  expect(machine.view().stage).toBe('asking')
  const permit = first.permits.find(({ node }) => node === NODES[3])!
  machine.step(NOW, { type: 'granted', permit })
  expect(machine.view()).toMatchObject({ stage: 'releasing', token: permit.token })
  expect(machine.step(NOW, { type: 'intent-persisted' })).toContainEqual(
    expect.objectContaining({ type: 'release', token: permit.token, outcome: 'skipped' }),
  )
})
