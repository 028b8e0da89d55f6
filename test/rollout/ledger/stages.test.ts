import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Millis, NO_GATES, type Plan, type Statement } from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  crowdedZones,
  genesis,
  hasBit,
  invariants,
  isRefusal,
  type LedgerValue,
  type Refusal,
  stalled,
} from '../../../rollout/index.ts'
import { image, later, NODES, NOW, plan } from './fixtures.ts'

// Canaries, waves, soaks, the watch at the end and the cap on zones: what a plan's gates make of the same reducer.

const ran: LedgerValue = { ...genesis('web', NODES.slice(0, 3)), targets: { app: image('v1') } }
const WAVES: Partial<Plan> = { strategy: 'waves', waves: [1, 3, 5], soak: 10_000, previous: image('v1'), maxFailed: 2 }
const MINUTE = 60_000

/** A ledger under one plan, to which things happen one after another. */
function ledger(under: Statement<Plan>) {
  let value = under.body.previous === null ? genesis('web', NODES.slice(0, 3)) : ran
  const act = (action: Action): LedgerValue | Refusal => {
    const result = apply(value, action, under.body)
    if (!isRefusal(result)) {
      expect(invariants(result)).toEqual([])
      value = result
    }
    return result
  }
  const did = (action: Action): void => {
    const result = act(action)
    if (isRefusal(result)) throw new Error(`${action.type}: ${result.reason}`)
  }
  const refused = (action: Action): Refusal | undefined => {
    const result = apply(value, action, under.body)
    return isRefusal(result) ? result : undefined
  }
  const grant = (at: number, now = NOW, unavailable: number[] = []): Action => ({
    ...{
      type: 'grant',
      node: NODES[at]!,
      zone: 'z',
      unavailable: unavailable.map(other => ({ node: NODES[other]!, zone: 'z' })),
      now,
    },
  })
  did({ type: 'start', plan: under, now: NOW })
  return {
    value: () => value,
    did,
    refused,
    grant,
    /** This node is replaced, well or not. */
    replace(at: number, outcome: 'ok' | 'rolledback' = 'ok', now = NOW) {
      did(grant(at, now))
      const { token } = value.permits.at(-1)!
      did({ type: 'release', node: NODES[at]!, token, outcome, reason: 'because', now })
    },
  }
}
const unwell = (at: number): Action => ({
  type: 'unwell',
  node: NODES[at]!,
  generation: 1,
  reason: 'it answers no more',
  now: NOW,
})
const soaked = (now: Millis): Action => ({ type: 'soaked', now })
const order = (type: 'pause' | 'resume' | 'promote' | 'undo'): Action => ({ type, reason: 'because', now: NOW })

describe('waves', () => {
  test('go one after another, each after the one before has soaked', () => {
    const l = ledger(plan(WAVES))
    expect(l.refused(l.grant(1))).toMatchObject({ refused: 'turn', reason: expect.stringContaining('wave 1 of 3') })
    l.replace(0)
    expect(l.value()).toMatchObject({ phase: 'soaking', wave: 0, soakUntil: later(10_000) })
    expect(l.refused(l.grant(1))).toMatchObject({ refused: 'turn', reason: expect.stringContaining('10 s') })
    expect(l.refused(soaked(later(9_999)))).toMatchObject({ refused: 'turn' })
    l.did(soaked(later(10_000)))
    expect(l.value()).toMatchObject({ phase: 'rolling', wave: 1 })
    l.replace(2)
    l.replace(1)
    l.did(soaked(later(10_000)))
    l.replace(4)
    l.replace(3)
    expect(l.value()).toMatchObject({ phase: 'done', targets: { app: image('v2') } })
  })

  test('a wave whose nodes are there already is over at once, and nobody soaks for the sake of nobody', () => {
    const l = ledger(plan({ ...WAVES, soak: 0 }))
    for (const at of [1, 2, 0])
      l.did({ type: 'already', node: NODES[at]!, generation: 1, image: image('v2'), now: NOW })
    expect(l.value()).toMatchObject({ phase: 'rolling', wave: 2 })
    const m = ledger(plan(WAVES))
    for (const at of [4, 3, 2, 1, 0])
      m.did({ type: 'already', node: NODES[at]!, generation: 1, image: image('v2'), now: NOW })
    expect(m.value().phase).toBe('done')
  })

  test('promote ends the soak, or begins the next wave beside the one that is under way', () => {
    const l = ledger(plan(WAVES))
    l.did(order('promote'))
    expect(l.value()).toMatchObject({ phase: 'rolling', wave: 1 })
    l.replace(0)
    l.replace(1)
    l.replace(2)
    l.did(order('pause'))
    l.did(order('promote'))
    expect(l.value()).toMatchObject({ phase: 'rolling', wave: 2, resumeTo: null })
    expect(l.refused(order('promote'))).toMatchObject({ refused: 'phase' })
    l.replace(3)
    l.replace(4)
    expect(l.value().phase).toBe('done')
  })

  test('a paused soak goes on soaking where it was', () => {
    const l = ledger(plan(WAVES))
    l.replace(0)
    l.did(order('pause'))
    expect(l.refused(soaked(later(MINUTE)))).toMatchObject({ refused: 'phase' })
    l.did(order('resume'))
    expect(l.value()).toMatchObject({ phase: 'soaking', soakUntil: later(10_000) })
  })

  test('canaries soak too', () => {
    const l = ledger(plan({ canary: 1, soak: 1_000 }))
    l.replace(0)
    expect(l.value()).toMatchObject({ phase: 'soaking', reason: expect.stringContaining('canaries') })
    l.did(soaked(later(1_000)))
    expect(l.value()).toMatchObject({ phase: 'rolling', wave: 1 })
  })
})

describe('the watch over what was replaced', () => {
  test('the last node is not the end: all are watched for as long as the plan says', () => {
    const l = ledger(plan({ analysis: 5_000, previous: image('v1'), roster: NODES.slice(0, 2) }))
    l.replace(0)
    l.replace(1)
    expect(l.value()).toMatchObject({ phase: 'soaking', targets: { app: image('v1') } })
    l.did(soaked(later(5_000)))
    expect(l.value()).toMatchObject({ phase: 'done', targets: { app: image('v2') } })
  })

  test('a node that is not well after its replacement counts as failed, once, and is reverted with the others', () => {
    const l = ledger(plan(WAVES))
    l.replace(0)
    l.did(unwell(0))
    expect(l.value()).toMatchObject({ phase: 'soaking', denied: [] })
    expect(l.refused(unwell(0))).toMatchObject({ refused: 'unchanged' })
    expect(l.refused(unwell(1))).toMatchObject({ refused: 'turn' })
    l.did(soaked(later(10_000)))
    l.replace(1)
    l.did(unwell(1))
    expect(l.value()).toMatchObject({ phase: 'reversing', denied: [image('v2')] })
    l.did(l.grant(1))
    expect(l.value().permits.at(-1)).toMatchObject({ kind: 'revert' })
    expect([0, 1].every(at => hasBit(l.value().ok, at) && hasBit(l.value().failed, at))).toBe(true)
  })

  test('a canary that is not well while it soaks takes the rollout back', () => {
    const l = ledger(plan({ canary: 1, soak: 1_000, maxFailed: 5, previous: image('v1') }))
    l.replace(0)
    l.did(unwell(0))
    expect(l.value().phase).toBe('reversing')
  })

  test('once it is done, or undone, nobody counts any more', () => {
    const l = ledger(plan({ roster: NODES.slice(0, 1), previous: image('v1') }))
    l.replace(0)
    expect(l.refused(unwell(0))).toMatchObject({ refused: 'phase' })
    l.did(order('undo'))
    expect(l.refused(unwell(0))).toMatchObject({ refused: 'phase' })
  })
})

describe('the cap on zones', () => {
  const zones = { cap: 1, names: ['a', 'b'], of: [0, 0, 1, 1, 1] }

  test('holds beside the budget, and is counted by the plan and not by what a node says of itself', () => {
    const l = ledger(plan({ zones, maxUnavailable: 3 }))
    l.did(l.grant(0))
    expect(l.refused(l.grant(1))).toMatchObject({ refused: 'zone', reason: expect.stringContaining('zone a') })
    expect(l.refused({ ...l.grant(1), zone: 'elsewhere' } as Action)).toMatchObject({ refused: 'zone' })
    l.did(l.grant(2))
    expect(crowdedZones(l.value(), plan({ zones }).body)).toEqual([])
    expect(crowdedZones({ ...l.value(), permits: [0, 1].map(at => permit(at)) }, plan({ zones }).body)).toEqual(['a'])
  })
  const permit = (at: number): LedgerValue['permits'][0] => ({
    ...{ token: at, node: NODES[at]!, zone: 'z', kind: 'replace', generation: 1, since: NOW },
  })

  test('counts members that are down anyway', () => {
    const l = ledger(plan({ zones, maxUnavailable: 3 }))
    expect(l.refused(l.grant(2, NOW, [3]))).toMatchObject({ refused: 'zone' })
    expect(l.refused(l.grant(2, NOW, [1]))).toBeUndefined()
    const beside = (zone: string): Action => ({ ...l.grant(2), unavailable: [{ node: NODES[6]!, zone }] }) as Action
    expect(l.refused(beside('b'))).toMatchObject({ refused: 'zone' })
    expect(l.refused(beside('c'))).toBeUndefined()
  })

  test('holds for going back as well', () => {
    const l = ledger(plan({ zones, maxUnavailable: 3, previous: image('v1') }))
    l.replace(0)
    l.replace(1)
    l.did(order('undo'))
    l.did(l.grant(0))
    expect(l.refused(l.grant(1))).toMatchObject({ refused: 'zone' })
  })
})

test('nothing goes forward on a plan whose time is over, and everything may go back', () => {
  const p = plan({ previous: image('v1') })
  const over = (p.body.notAfter + 1) as Millis
  expect(apply(ran, { type: 'start', plan: p, now: over }, p.body)).toMatchObject({ refused: 'expired' })
  const l = ledger(p)
  l.replace(0)
  expect(l.refused(l.grant(1, over))).toMatchObject({ refused: 'expired' })
  l.did(order('undo'))
  expect(l.refused(l.grant(0, over))).toBeUndefined()
})

test('the ledger remembers what became of each generation, and the oldest is forgotten first', () => {
  let value = ran
  for (let generation = 1; generation <= 20; generation++) {
    const p = plan({
      generation,
      roster: NODES.slice(0, 1),
      previous: value.targets.app!,
      image: image(`i${generation}`),
    })
    const actions: Action[] = [
      { type: 'start', plan: p, now: NOW },
      generation % 2 === 0
        ? { type: 'abort', reason: 'no', now: NOW }
        : { type: 'already', node: NODES[0]!, generation, image: image(`i${generation}`), now: NOW },
    ]
    for (const action of actions) {
      const next = apply(value, action, p.body)
      if (isRefusal(next)) throw new Error(next.reason)
      value = next
    }
  }
  expect(value.history.map(past => past.generation)).toEqual(Array.from({ length: 16 }, (_, at) => at + 5))
  expect(value.history.at(-1)).toMatchObject({ generation: 20, end: null })
  expect(value.history.at(-2)).toMatchObject({ generation: 19, end: { phase: 'done', ok: 1, failed: 0 } })
  expect(value.history.at(-3)).toMatchObject({ generation: 18, end: { phase: 'aborted', reason: 'no', ok: 0 } })
})

describe('a stall', () => {
  const patience = 10_000 + NO_GATES.progressDeadline
  const of = (rest: Partial<Plan>, after: number, change: Partial<LedgerValue> = {}): string | undefined => {
    const p = plan(rest)
    const value = apply(ran, { type: 'start', plan: plan({ ...rest, previous: image('v1') }), now: NOW }, p.body)
    return stalled({ ...(value as LedgerValue), ...change }, p.body, later(after))
  }
  test('is when nothing has moved for both deadlines together', () => {
    expect(of({}, patience - 1)).toBeUndefined()
    expect(of({}, patience)).toMatch(/nothing has moved for 10 minutes/)
    expect(of({ progressDeadline: 1_000 }, 11_000)).toMatch(/11 seconds/)
  })
  test('is neither a soak nor a pause, nor the time in which no window is open', () => {
    expect(of({}, 2 * patience, { phase: 'soaking' })).toBeUndefined()
    expect(of({}, 2 * patience, { phase: 'paused' })).toBeUndefined()
    const closed = [{ cron: '0 0 1 1 *', duration: MINUTE, zone: 'UTC' }]
    expect(of({ windows: closed }, 2 * patience)).toBeUndefined()
    expect(of({ windows: closed }, 2 * patience, { phase: 'reversing' })).toBeDefined()
    expect(of({ windows: [{ cron: '* * * * *', duration: 2 * MINUTE, zone: 'UTC' }] }, 2 * patience)).toBeDefined()
  })
})

test('whatever happens in whatever order: budget and zone cap hold, no wave begins early, and no failure is forgotten', () => {
  const zones = { cap: 1, names: ['a', 'b', 'c'], of: [0, 1, 2, 0, 1] }
  const shapes: Statement<Plan>[] = [
    plan({ ...WAVES, zones, maxUnavailable: 2 }),
    plan({ ...WAVES, waves: [2, 5], soak: 0, analysis: 5_000, maxUnavailable: 3, zones: { ...zones, cap: 2 } }),
    plan({ canary: 2, soak: 3_000, previous: image('v1'), maxUnavailable: 3, zones }),
    plan({ strategy: 'at-once', maxUnavailable: 5, previous: image('v1') }),
  ]
  const at = fc.nat(4)
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('grant' as const),
        at,
        down: fc.subarray([0, 1, 2, 3, 4], { maxLength: 1 }),
      }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('release' as const), at, well: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('unwell' as const, 'already', 'write-off'), at }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('soaked' as const, 'promote', 'pause', 'resume', 'undo') }),
    },
  )
  fc.assert(
    fc.property(fc.constantFrom(...shapes), fc.array(step, { maxLength: 60 }), (under, steps) => {
      let now = NOW as number
      let value = apply(ran, { type: 'start', plan: under, now: NOW }, under.body) as LedgerValue
      for (const taken of steps) {
        now += 1_000
        const next = apply(value, actionOf(taken, value, now as Millis), under.body)
        if (isRefusal(next)) continue
        expect(invariants(next)).toEqual([])
        expect(next.permits.length).toBeLessThanOrEqual(under.body.maxUnavailable)
        expect(crowdedZones(next, under.body)).toEqual([])
        if (taken.do === 'soaked') expect(now).toBeGreaterThanOrEqual(value.soakUntil)
        // A stage is left by its soak or by an operator; or, where it has none or nobody is left to go after it, when the last of it is settled.
        const left = under.body.roster.some(
          (_, at) => ![next.ok, next.failed, next.writtenOff].some(bits => hasBit(bits, at)),
        )
        if (left && next.wave > value.wave && taken.do !== 'soaked' && taken.do !== 'promote')
          expect(under.body.soak).toBe(0)
        if (value.phase === 'reversing') expect(['reversing', 'paused', 'rolled-back']).toContain(next.phase)
        for (let index = 0; index < 5; index++)
          if (hasBit(value.failed, index)) expect(hasBit(next.failed, index)).toBe(true)
        value = next
      }
    }),
    { numRuns: 600 },
  )
})

type Step =
  | { do: 'grant'; at: number; down: number[] }
  | { do: 'release'; at: number; well: boolean }
  | { do: 'unwell' | 'already' | 'write-off'; at: number }
  | { do: 'soaked' | 'promote' | 'pause' | 'resume' | 'undo' }

function actionOf(step: Step, value: LedgerValue, now: Millis): Action {
  switch (step.do) {
    case 'grant':
      return {
        type: 'grant',
        node: NODES[step.at]!,
        zone: 'liar',
        unavailable: step.down.map(n => ({ node: NODES[n]!, zone: 'liar' })),
        now,
      }
    case 'release': {
      const held = value.permits.find(permit => permit.node === NODES[step.at]!)
      const outcome = step.well ? 'ok' : 'rolledback'
      return { type: 'release', node: NODES[step.at]!, token: held?.token ?? 0, outcome, reason: '', now }
    }
    case 'already':
      return { type: 'already', node: NODES[step.at]!, generation: 1, image: image('v2'), now }
    case 'unwell':
      return { type: 'unwell', node: NODES[step.at]!, generation: 1, reason: '', now }
    case 'write-off':
      return { type: 'write-off', node: NODES[step.at]!, reason: '', now }
    case 'soaked':
      return { type: 'soaked', now }
    default:
      return { type: step.do, reason: '', now }
  }
}
