import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NodeId, Plan, Statement } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  genesis,
  hasBit,
  invariants,
  isRefusal,
  type LedgerValue,
  successor,
} from '../../../rollout/index.ts'
import { image, later, NODES, NOW, plan } from './fixtures.ts'

const [a, b, c] = NODES as [NodeId, NodeId, NodeId]
const first = genesis('web', NODES.slice(0, 3))

/** Applies actions that must all be allowed. */
function applied(value: LedgerValue, under: Statement<Plan>, ...actions: Action[]): LedgerValue {
  return actions.reduce((before, action) => {
    const result = apply(before, action, under.body)
    if (isRefusal(result)) throw new Error(`${action.type}: ${result.reason}`)
    return result
  }, value)
}
const refused = (value: LedgerValue, under: Statement<Plan>, action: Action): string => {
  const result = apply(value, action, under.body)
  return isRefusal(result) ? result.refused : 'allowed'
}

const start = (of: Statement<Plan>): Action => ({ type: 'start', plan: of, now: NOW })
const grant = (node = a, down: readonly NodeId[] = []): Action => ({
  type: 'grant',
  node,
  zone: 'z',
  unavailable: down.map(other => ({ node: other, zone: 'z' })),
  now: NOW,
})
const release = (node: NodeId, token: number, outcome: 'ok' | 'rolledback' | 'skipped' = 'ok'): Action => ({
  type: 'release',
  node,
  token,
  outcome,
  reason: 'because',
  now: NOW,
})
const order = (type: 'pause' | 'resume' | 'promote' | 'abort' | 'undo' | 'stall'): Action => ({
  type,
  reason: 'because',
  now: NOW,
})
const writeOff = (node: NodeId): Action => ({ type: 'write-off', node, reason: 'it burnt down', now: NOW })

describe('a restart of a host', () => {
  const reboot = (node: NodeId, holder = 'zincati', down: readonly NodeId[] = []): Action =>
    ({
      ...grant(node, down),
      reboot: holder,
    }) as Action
  const over = plan({ roster: [a], maxUnavailable: 2 })
  const done = (of = over): LedgerValue => applied(first, of, start(of), grant(a), release(a, 1))

  test('has a budget of one before the first plan, and after one that took all at once; else that of the last plan', () => {
    const fresh = apply(first, reboot(a), undefined) as LedgerValue
    expect(apply(fresh, reboot(b), undefined)).toMatchObject({ refused: 'budget' })
    const two = applied(done(), over, reboot(b), reboot(c))
    expect(refused(two, over, reboot(NODES[6]!))).toBe('budget')
    expect(refused(done(), over, reboot(b, 'x', [a, c]))).toBe('budget')
    const all = plan({ roster: [a], maxUnavailable: 5, strategy: 'at-once' })
    expect(refused(applied(done(all), all, reboot(b)), all, reboot(c))).toBe('budget')
  })

  test('is nobody else’s permit: neither another client nor a layer of the host acts on it, and giving it back says nothing of an image', () => {
    const value = applied(done(), over, reboot(a))
    expect(refused(value, over, reboot(a))).toBe('unchanged')
    expect(refused(value, over, reboot(a, 'another'))).toBe('turn')
    expect(refused(value, over, { ...grant(a), renew: true } as Action)).toBe('turn')
    const back = applied(value, over, release(a, value.nextToken - 1))
    expect([back.permits, back.ok, back.phase]).toEqual([[], done().ok, 'done'])
  })

  test('waits for a generation that is under way, and a generation for a restart', () => {
    const p = plan({ maxUnavailable: 1 })
    expect(refused(applied(first, p, start(p)), p, reboot(a))).toBe('phase')
    const value = applied(apply(first, reboot(a), undefined) as LedgerValue, p, start(p))
    expect(refused(value, p, grant(b))).toBe('budget')
    expect(refused(applied(value, p, release(a, 1)), p, grant(b))).toBe('allowed')
  })
})

describe('start', () => {
  test('a plan begins with everybody still to do', () => {
    const p = plan()
    const value = applied(first, p, start(p))
    expect(value).toMatchObject({ phase: 'rolling', generation: 1, plan: p.id, permits: [], nextToken: 1 })
    expect(NODES.slice(0, 5).some((_, index) => hasBit(value.ok, index))).toBe(false)
  })

  test('the same plan again changes nothing, another one while it runs is a conflict', () => {
    const p = plan()
    const value = applied(first, p, start(p))
    expect(refused(value, p, start(p))).toBe('unchanged')
    expect(refused(value, p, start(plan({ generation: 2 })))).toBe('conflict')
  })

  test('a replayed plan of an older generation is stale, even when nothing runs', () => {
    const p = plan({ generation: 5 })
    const over = applied(first, p, start(p), order('abort'))
    expect(refused(over, p, start(plan({ generation: 4 })))).toBe('stale')
    expect(refused(over, p, start(plan({ generation: 5, reason: 'another' })))).toBe('stale')
  })

  test('an image that failed here needs force', () => {
    const bad = plan({ previous: image('v1') })
    const ran = { ...first, targets: { app: image('v1') } }
    const value = applied(ran, bad, start(bad), grant(a), release(a, 1, 'rolledback'))
    expect(value).toMatchObject({ phase: 'rolled-back', denied: [image('v2')] })
    expect(refused(value, bad, start(plan({ generation: 2, previous: image('v1') })))).toBe('denied')
    expect(refused(value, bad, start(plan({ generation: 2, previous: image('v1'), force: true })))).toBe('allowed')
  })

  test('a plan drafted when the layer ran another image is a conflict', () => {
    expect(refused(first, plan(), start(plan({ previous: image('v0') })))).toBe('conflict')
    expect(refused(first, plan(), start(plan({ group: 'db' })))).toBe('conflict')
  })
})

describe('renew', () => {
  const p = plan()
  const renew = (node = a): Action => ({ ...grant(node), renew: true }) as Action
  const done = NODES.slice(0, 5).reduce(
    (value, node) => applied(value, p, { type: 'already', node, generation: 1, image: image('v2'), now: NOW }),
    applied(first, p, start(p)),
  )

  test('a marked node gets a permit when no generation is under way, within the budget', () => {
    expect(done.phase).toBe('done')
    expect(refused(done, p, grant(a))).toBe('phase')
    const value = applied(done, p, renew(a), renew(b))
    expect(value.permits.map(({ kind }) => kind)).toEqual(['renew', 'renew'])
    expect(refused(value, p, renew(c))).toBe('budget')
    expect(invariants(value)).toEqual([])
  })

  test('whatever comes of it, the generation stays what it was', () => {
    for (const outcome of ['ok', 'rolledback', 'skipped'] as const) {
      const value = applied(done, p, renew(a), release(a, 1, outcome))
      expect({ ...value, version: 0, nextToken: 0 }).toEqual({ ...done, version: 0, nextToken: 0, progressAt: NOW })
    }
  })

  test('within a generation a node has its turn instead', () => {
    const rolling = applied(first, p, start(p))
    expect(refused(rolling, p, renew(a))).toBe('phase')
    expect(refused(applied(rolling, p, order('abort')), p, renew(a))).toBe('phase')
  })

  test('a plan may begin meanwhile, and is not done before the permit is back', () => {
    const next = plan({ generation: 2, previous: p.body.image, image: image('v9') })
    let value = applied(applied(done, p, renew(a)), next, start(next))
    for (const node of NODES.slice(1, 5))
      value = applied(value, next, { type: 'already', node, generation: 2, image: image('v9'), now: NOW })
    expect(value.phase).toBe('rolling')
    value = applied(value, next, release(a, 1), {
      type: 'already',
      node: a,
      generation: 2,
      image: image('v9'),
      now: NOW,
    })
    expect(value.phase).toBe('done')
  })
})

describe('grant', () => {
  const p = plan()
  const rolling = applied(first, p, start(p))

  test('tokens are handed out once each, up to the budget', () => {
    const value = applied(rolling, p, grant(a), grant(b))
    expect(value.permits.map(permit => [permit.node, permit.token, permit.kind])).toEqual([
      [a, 1, 'replace'],
      [b, 2, 'replace'],
    ])
    expect(refused(value, p, grant(c))).toBe('budget')
    expect(refused(value, p, grant(a))).toBe('unchanged')
    const freed = applied(value, p, release(a, 1), grant(c))
    expect(freed.permits.map(permit => permit.token)).toEqual([2, 3])
  })

  test('members that are down anyway count, whether the plan names them or not, but nobody twice and nobody who was written off', () => {
    expect(refused(rolling, p, grant(a, [b, c]))).toBe('budget')
    expect(refused(rolling, p, grant(a, [b]))).toBe('allowed')
    expect(refused(rolling, p, grant(a, [a, a, NODES[6]!]))).toBe('allowed')
    expect(refused(rolling, p, grant(a, [NODES[5]!, NODES[6]!]))).toBe('budget')
    expect(refused(applied(rolling, p, writeOff(NODES[5]!)), p, grant(a, [NODES[5]!, NODES[6]!]))).toBe('allowed')
    const held = applied(rolling, p, grant(a))
    expect(refused(held, p, grant(b, [a]))).toBe('allowed')
  })

  test('a permit of an aborted generation still counts', () => {
    const aborted = applied(rolling, p, grant(a), grant(b), order('abort'))
    const next = plan({ generation: 2, maxUnavailable: 2 })
    const again = applied(aborted, next, start(next))
    expect(refused(again, next, grant(c))).toBe('budget')
    expect(refused(applied(again, next, release(a, 1)), next, grant(c))).toBe('allowed')
  })

  test('canaries go first, and nobody else until all of them are done', () => {
    const q = plan({ canary: 1 })
    const value = applied(first, q, start(q))
    expect(value.phase).toBe('canary')
    expect(refused(value, q, grant(b))).toBe('turn')
    const done = applied(value, q, grant(a), release(a, 1))
    expect(done.phase).toBe('rolling')
    expect(refused(done, q, grant(b))).toBe('allowed')
    expect(applied(value, q, order('promote')).phase).toBe('rolling')
  })

  test('nothing is granted while paused, outside of the roster, to a written-off node or for what is done', () => {
    expect(refused(applied(rolling, p, order('pause')), p, grant(a))).toBe('phase')
    expect(refused(rolling, p, grant(NODES[6]))).toBe('not-in-roster')
    expect(refused(applied(rolling, p, writeOff(a)), p, grant(a))).toBe('fenced')
    expect(refused(applied(rolling, p, grant(a), release(a, 1)), p, grant(a))).toBe('unchanged')
    expect(refused(first, p, grant(a))).toBe('phase')
  })
})

describe('release', () => {
  const p = plan({ previous: image('v1'), maxFailed: 2 })
  const ran = { ...first, targets: { app: image('v1') } }
  const rolling = applied(ran, p, start(p))

  test('a permit is given back once, by its holder', () => {
    const value = applied(rolling, p, grant(a))
    expect(refused(value, p, release(b, 1))).toBe('stale')
    expect(refused(value, p, release(a, 2))).toBe('stale')
    expect(refused(applied(value, p, release(a, 1)), p, release(a, 1))).toBe('stale')
  })

  test('the last one to be done ends the rollout and makes the image the target', () => {
    const small = plan({ roster: [a, b] })
    const value = applied(first, small, start(small), grant(a), grant(b), release(a, 1), release(b, 2))
    expect(value).toMatchObject({ phase: 'done', targets: { app: image('v2') } })
  })

  test('failures up to the limit are borne, one more takes all others back', () => {
    const one = applied(rolling, p, grant(a), release(a, 1, 'rolledback'))
    expect(one.phase).toBe('rolling')
    expect(refused(one, p, grant(a))).toBe('turn')
    const two = applied(one, p, grant(c), release(c, 2), grant(b), release(b, 3, 'rolledback'))
    expect(two).toMatchObject({ phase: 'reversing', denied: [image('v2')] })
    const back = applied(two, p, grant(c), release(c, 4))
    expect(back).toMatchObject({ phase: 'rolled-back', targets: { app: image('v1') } })
  })

  test('a failed canary is one too many', () => {
    const q = plan({ previous: image('v1'), canary: 2, maxFailed: 5 })
    const value = applied(ran, q, start(q), grant(a), release(a, 1, 'rolledback'))
    expect(value.phase).toBe('rolled-back')
  })

  test('with nothing to go back to the rollout pauses instead', () => {
    const q = plan()
    const value = applied(first, q, start(q), grant(a), release(a, 1, 'rolledback'))
    expect(value).toMatchObject({ phase: 'paused', resumeTo: 'rolling' })
    expect(refused(value, q, order('undo'))).toBe('denied')
  })

  test('past the failure limit nobody goes forward, whoever resumes or promotes: the only ways out are back and abort', () => {
    const q = plan({ canary: 1, maxFailed: 3 })
    const failed = applied(first, q, start(q), grant(a), release(a, 1, 'rolledback'))
    expect(failed).toMatchObject({ phase: 'paused', resumeTo: 'canary' })
    for (const verb of ['resume', 'promote'] as const)
      expect(apply(failed, order(verb), q.body)).toMatchObject({
        refused: 'denied',
        reason: expect.stringMatching(/failure limit.*abort it/),
      })
    // A value that got there all the same grants nothing.
    const forced: LedgerValue = { ...failed, phase: 'rolling', wave: 1, resumeTo: null }
    expect(refused(forced, q, grant(b))).toBe('denied')
    expect(applied(failed, q, order('abort')).phase).toBe('aborted')
  })

  test('one that never went down has its turn again', () => {
    const value = applied(rolling, p, grant(a), release(a, 1, 'skipped'))
    expect(refused(value, p, grant(a))).toBe('allowed')
  })
})

describe('orders', () => {
  const p = plan({ previous: image('v1') })
  const ran = { ...first, targets: { app: image('v1') } }
  const rolling = applied(ran, p, start(p))

  test('pause and resume come back to the phase before', () => {
    const paused = applied(rolling, p, order('pause'))
    expect(refused(paused, p, order('stall'))).toBe('unchanged')
    expect(applied(paused, p, order('resume'))).toMatchObject({ phase: 'rolling', resumeTo: null })
    expect(refused(rolling, p, order('resume'))).toBe('unchanged')
  })

  test('an order that was carried out before, or came too late, changes nothing: it says what it is for', () => {
    const meant = { generation: 1, wave: 0 }
    const meaning = (type: 'pause' | 'resume' | 'promote' | 'abort'): Action => ({ ...order(type), meant }) as Action
    const aborted = applied(rolling, p, meaning('abort'))
    expect(aborted.phase).toBe('aborted')
    expect(refused(aborted, p, meaning('abort'))).toBe('unchanged')
    const next = plan({ previous: image('v1'), generation: 2 })
    const second = applied(aborted, next, start(next))
    for (const type of ['pause', 'resume', 'promote', 'abort'] as const)
      expect(refused(second, next, meaning(type))).toBe('stale')
    const canaries = plan({ previous: image('v1'), canary: 1, soak: 60_000 })
    const promoted = applied(applied(ran, canaries, start(canaries)), canaries, meaning('promote'))
    expect(promoted.wave).toBe(1)
    expect(refused(promoted, canaries, meaning('promote'))).toBe('unchanged')
  })

  test('undo goes back under the same budget, and needs a permit for each node', () => {
    const value = applied(rolling, p, grant(a), release(a, 1), grant(b), order('undo'))
    expect(value.phase).toBe('reversing')
    expect(refused(value, p, grant(c))).toBe('unchanged')
    const back = applied(value, p, grant(a))
    expect(back.permits.at(-1)).toMatchObject({ node: a, kind: 'revert' })
    expect(applied(back, p, release(b, 2, 'skipped'), release(a, 3)).phase).toBe('rolled-back')
  })

  test('a generation that is done can be undone', () => {
    const small = plan({ previous: image('v1'), roster: [a] })
    const done = applied(ran, small, start(small), grant(a), release(a, 1))
    const undone = applied(done, small, order('undo'), grant(a), release(a, 2))
    expect(undone).toMatchObject({ phase: 'rolled-back', targets: { app: image('v1') } })
    expect(refused(undone, small, order('undo'))).toBe('unchanged')
  })

  test('a written-off node frees its permit, is fenced, and is waited for no more', () => {
    const small = plan({ roster: [a, b] })
    const value = applied(first, small, start(small), grant(a), grant(b), release(b, 2), writeOff(a))
    expect(value).toMatchObject({ phase: 'done', permits: [], fenced: [a] })
    expect(refused(value, small, writeOff(a))).toBe('unchanged')
    expect(refused(value, small, release(a, 1))).toBe('stale')
  })

  test('a node that runs the image already says so without a permit', () => {
    const value = applied(rolling, p, { type: 'already', node: a, generation: 1, image: image('v2'), now: NOW })
    expect(hasBit(value.ok, 0)).toBe(true)
    expect(refused(value, p, { type: 'already', node: a, generation: 1, image: image('v2'), now: NOW })).toBe(
      'unchanged',
    )
    expect(
      refused(applied(rolling, p, grant(a)), p, {
        type: 'already',
        node: a,
        generation: 1,
        image: image('v2'),
        now: NOW,
      }),
    ).toBe('unchanged')
  })

  test('what came back while it was paused counts when it resumes: nothing else would end it', () => {
    const q = plan({ roster: [a], previous: image('v1') })
    const paused = applied(ran, q, start(q), grant(a), order('pause'), release(a, 1))
    expect(paused.phase).toBe('paused')
    expect(applied(paused, q, order('resume')).phase).toBe('done')
  })

  test('who was written off is not waited for by later plans either, not even as their only canary', () => {
    const fenced = applied(applied(rolling, p, writeOff(a), order('abort')), p)
    const q = plan({ generation: p.body.generation + 1, previous: image('v1'), roster: [a, b], canary: 1 })
    const begun = applied(fenced, q, start(q))
    expect(begun).toMatchObject({ phase: 'rolling', wave: 1 })
    expect(applied(begun, q, grant(b), release(b, begun.nextToken)).phase).toBe('done')
    const none = plan({ generation: p.body.generation + 1, previous: image('v1'), roster: [a] })
    expect(refused(fenced, none, start(none))).toBe('fenced')
  })

  test('that a node runs its image already counts for the generation and the direction that it was said in, and no other', () => {
    const word = (generation: number, name: string): Action => ({
      ...{ type: 'already', node: a, generation, image: image(name), now: NOW },
    })
    const went = applied(rolling, p, grant(a), release(a, rolling.nextToken), order('undo'))
    expect(refused(went, p, word(1, 'v2'))).toBe('stale')
    expect(applied(went, p, word(1, 'v1')).ok).toEqual(new Uint8Array(1))
    expect(refused(rolling, p, word(7, 'v2'))).toBe('stale')
    expect(refused(rolling, p, word(1, 'v1'))).toBe('stale')
  })

  test('a closed ledger takes nothing more; the next epoch begins with what it held', () => {
    const closed = applied(rolling, p, grant(a), { type: 'reconfigure', voters: NODES.slice(0, 5) })
    for (const action of [grant(b), release(a, 1), order('pause'), start(plan({ generation: 9 }))])
      expect(refused(closed, p, action)).toBe('closed')
    expect(successor(closed)).toMatchObject({
      epoch: 2,
      voters: NODES.slice(0, 5),
      successors: null,
      permits: closed.permits,
      nextToken: closed.nextToken,
    })
    expect(() => successor(rolling)).toThrow(RangeError)
  })

  test.each([
    ['an even number', NODES.slice(0, 2), 'phase'],
    ['nobody', [], 'phase'],
    ['one twice', [a, a, b], 'phase'],
    ['the same', [c, b, a], 'unchanged'],
  ])('voters cannot become %s', (_, voters, reason) => {
    expect(refused({ ...first, voters: [a, b, c] }, p, { type: 'reconfigure', voters })).toBe(reason)
  })
})

const plans = [
  plan({ maxUnavailable: 1 }),
  plan({ generation: 2, canary: 2 }),
  plan({ generation: 3, maxFailed: 3, maxUnavailable: 3 }),
  plan({ generation: 4, previous: image('v2'), image: image('v3') }),
]
const node = fc.constantFrom(...NODES)
const anyAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: node.chain(n => fc.subarray([...NODES], { maxLength: 2 }).map(down => grant(n, down))) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(node, fc.integer({ min: 1, max: 12 }), fc.constantFrom('ok' as const, 'rolledback', 'skipped'))
      .map(([n, token, outcome]) => release(n, token, outcome)),
  },
  { weight: 2, arbitrary: fc.constantFrom(...plans).map(start) },
  {
    weight: 1,
    arbitrary: node.map((n): Action => ({ type: 'already', node: n, generation: 1, image: image('v2'), now: NOW })),
  },
  { weight: 1, arbitrary: fc.constantFrom('pause', 'resume', 'promote', 'abort', 'undo', 'stall' as const).map(order) },
  { weight: 1, arbitrary: node.map(writeOff) },
)

test('a rollout is paused for standing still by who sees that it does, and not by who was cut off and saw it long ago', () => {
  const of = plan()
  const begun = applied(first, of, start(of))
  const patience = of.body.deadline + of.body.progressDeadline
  const stall = (after: number): Action => ({ type: 'stall', reason: 'nothing has moved', now: later(after) })
  expect(refused(begun, of, stall(patience - 1))).toBe('unchanged')
  expect(refused({ ...begun, progressAt: later(patience) }, of, stall(patience))).toBe('unchanged')
  expect(applied(begun, of, stall(patience)).phase).toBe('paused')
})

test('whatever is asked in whatever order: tokens and generations only grow, grants keep the budget, and values stay sound', () => {
  fc.assert(
    fc.property(fc.array(anyAction, { maxLength: 80 }), actions => {
      let value = first
      for (const action of actions) {
        const current = action.type === 'start' ? action.plan : plans.find(p => p.id === value.plan)
        const next = apply(value, action, current?.body)
        if (isRefusal(next)) continue
        expect(invariants(next)).toEqual([])
        expect(next.version).toBe(value.version + 1)
        expect(next.nextToken).toBeGreaterThanOrEqual(value.nextToken)
        expect(next.generation).toBeGreaterThanOrEqual(value.generation)
        expect(value.fenced.every(fenced => next.fenced.includes(fenced))).toBe(true)
        if (action.type === 'grant') {
          expect(next.permits.length).toBe(value.permits.length + 1)
          expect(next.permits.length).toBeLessThanOrEqual(current!.body.maxUnavailable)
          expect(next.permits.at(-1)!.token).toBe(value.nextToken)
        } else expect(next.permits.every(permit => value.permits.includes(permit))).toBe(true)
        value = next
      }
    }),
    { numRuns: 500 },
  )
})

test('the soundness check notices each kind of damage', () => {
  const p = plan()
  const value = applied(first, p, start(p), grant(a), grant(b))
  const [one, two] = value.permits as [LedgerValue['permits'][0], LedgerValue['permits'][0]]
  const damaged: Partial<LedgerValue>[] = [
    { nextToken: 2 },
    { permits: [one, { ...two, token: one.token }] },
    { permits: [one, { ...two, node: one.node }] },
    { fenced: [a] },
    { phase: 'paused' },
    { phase: 'rolled-back' },
  ]
  for (const damage of damaged) expect(invariants({ ...value, ...damage }), JSON.stringify(damage)).toHaveLength(1)
})
