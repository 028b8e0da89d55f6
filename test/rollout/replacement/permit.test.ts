import { expect, test } from 'vitest'
import { millis, seededRandom } from '../../../protocol/index.ts'
import {
  ACT_WITHIN,
  type Action,
  apply,
  createReplacement,
  genesis,
  type Intent,
  isRefusal,
  type LedgerValue,
  type ReplacementEffect,
  type ReplacementInput,
} from '../../../rollout/index.ts'
import { image, NODES, NOW, plan } from '../ledger/fixtures.ts'

// A permit outlives what it was granted for: before it goes down, a node looks whether that is still wanted.

const p = plan({ previous: image('v1'), maxFailed: 1 })
const act = (value: LedgerValue, action: Action): LedgerValue => {
  const result = apply(value, action, action.type === 'start' ? action.plan.body : p.body)
  if (isRefusal(result)) throw new Error(result.reason)
  return result
}
const ran: LedgerValue = { ...genesis('web', NODES.slice(0, 3)), targets: { app: image('v1') } }
const order = (type: 'pause' | 'abort' | 'undo'): Action => ({ type, reason: 'because', now: NOW })
const grant = (at: number): Action => ({ type: 'grant', node: NODES[at]!, zone: 'z', unavailable: [], now: NOW })
const granted = act(act(ran, { type: 'start', plan: p, now: NOW }), grant(0))
const next = plan({ previous: image('v1'), generation: 2, image: image('v3') })

const INTENT: Extract<Intent, { act: 'replace' }> = {
  act: 'replace',
  plan: p.id,
  token: 1,
  kind: 'replace',
  from: image('v1'),
  to: image('v2'),
  minHealthy: 1_000,
  deadline: 10_000,
  failure: null,
}

const WELL: ReplacementInput = { type: 'health', health: 'passing', reason: '' }

/** A daemon that was killed under its permit, while its host runs this version. */
const restarted = (version = 'v1') =>
  createReplacement({
    node: NODES[0]!,
    layer: 'app',
    current: image(version),
    intent: INTENT,
    random: seededRandom(1),
  })

/** A node that was killed when it had drained under its permit: what it does at the moment of its re-read, and for each of `then`. */
function rereads(value: LedgerValue, ...then: ReplacementInput[]): ReplacementEffect[] {
  const machine = restarted()
  const steps: ReplacementInput[] = [
    { type: 'ledger', value: granted, plan: p },
    { type: 'reread', asked: NOW, value: granted },
    { type: 'drained', answer: 'ok', reason: '' },
    { type: 'reread', asked: NOW, value },
    ...then,
  ]
  return steps.map(step => machine.step(NOW, step)).at(-1)!
}
const flips = (value: LedgerValue): boolean => rereads(value).some(effect => effect.type === 'flip')

test('a node that still holds its permit goes down, also while the rollout is paused', () => {
  expect(flips(granted)).toBe(true)
  expect(flips(act(granted, order('pause')))).toBe(true)
})

test('an answer to what it asked before it was drained lets no node go down, however it comes in late', () => {
  const machine = restarted()
  machine.step(NOW, { type: 'ledger', value: granted, plan: p })
  machine.step(NOW, { type: 'reread', asked: NOW, value: granted })
  const later = millis(NOW + 12_000)
  expect(machine.step(later, { type: 'drained', answer: 'ok', reason: '' })).toContainEqual({
    type: 'reread',
    asked: later,
  })
  expect(machine.step(later, { type: 'reread', asked: NOW, value: granted })).toEqual([])
  const flip = machine.step(millis(later + 10), { type: 'reread', asked: later, value: granted })
  expect(flip).toContainEqual({ type: 'flip', image: image('v2'), actBy: later + ACT_WITHIN })
})

const failed = act(act(granted, grant(1)), {
  ...{ type: 'release', node: NODES[1]!, token: 2, outcome: 'rolledback', reason: 'http 500', now: NOW },
} as Action)
test.each<[string, LedgerValue, RegExp]>([
  ['undone', act(granted, order('undo')), /being undone/],
  ['aborted', act(granted, order('abort')), /aborted/],
  ['followed by another', act(act(granted, order('abort')), { type: 'start', plan: next, now: NOW }), /generation 2/],
  ['at its failure limit', failed, /being undone/],
  ['at its failure limit with nothing to go back to', { ...failed, phase: 'paused', resumeTo: 'rolling' }, /limit/],
])('under a rollout that is %s it stays up and binds itself to give the permit back', (_, value, reason) => {
  expect(rereads(value).map(({ type }) => type)).toContain('undrain')
  expect(flips(value)).toBe(false)
  expect(rereads(value, { type: 'undrained' }, WELL)).toContainEqual({
    type: 'persist-intent',
    intent: { act: 'release', token: 1, outcome: 'skipped', reason: expect.stringMatching(reason) },
  })
})

test('what was drained is back in service and well before its permit goes back', () => {
  const over = act(granted, order('abort'))
  const gives = (...then: ReplacementInput[]): string[] =>
    rereads(over, ...then).flatMap(effect => (effect.type === 'persist-intent' ? [effect.intent!.act] : []))
  const sick: ReplacementInput = { type: 'health', health: 'failing', reason: 'it was restarted' }
  expect(gives()).toEqual([])
  expect(gives(WELL)).toEqual([])
  expect(gives(sick, { type: 'undrained' })).toEqual([])
  expect(gives(sick, { type: 'undrained' }, WELL)).toEqual(['release'])
  const failed = rereads(over, { type: 'undrain-failed', reason: 'the disk is full' })
  expect(failed.map(({ type }) => type)).toContain('wakeAt')
  expect(gives({ type: 'undrain-failed', reason: 'the disk is full' }, { type: 'undrained' }, WELL)).toEqual([
    'release',
  ])
})

test('a node that verifies its image when another plan begins is judged by its own, and gives its permit back', () => {
  const machine = restarted('v2')
  const followed = act(act(granted, order('abort')), { type: 'start', plan: next, now: NOW })
  const later = millis(NOW + INTENT.minHealthy)
  const said = [
    machine.step(NOW, { type: 'ledger', value: followed, plan: next }),
    machine.step(NOW, { type: 'reread', asked: NOW, value: followed }),
    machine.step(NOW, { type: 'health', health: 'passing', reason: '' }),
    machine.step(later, { type: 'wake' }),
    machine.step(later, { type: 'confirmed', enough: true, reason: '' }),
  ].flat()
  expect(said).toContainEqual({
    type: 'persist-intent',
    intent: { act: 'release', token: 1, outcome: 'ok', reason: 'healthy and confirmed' },
  })
})

test('while a healthy image has to stay so, the node says until when, and not what it waited for before', () => {
  const machine = restarted('v2')
  const waits = (input: ReplacementInput): string => {
    machine.step(NOW, input)
    return machine.view().waitingFor
  }
  waits({ type: 'ledger', value: granted, plan: p })
  expect(waits({ type: 'reread', asked: NOW, value: granted })).toMatch(/waiting for the new image to be healthy/)
  const until = new Date(NOW + INTENT.minHealthy).toISOString()
  expect(waits(WELL)).toBe(`healthy; it has to stay so until ${until}`)
  expect(waits({ type: 'health', health: 'failing', reason: 'http 500' })).toBe('http 500')
  expect(waits(WELL)).toBe(`healthy; it has to stay so until ${until}`)
})
