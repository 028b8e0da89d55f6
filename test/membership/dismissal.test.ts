import { expect, test } from 'vitest'
import { bench, dismissal, eventsOf, nodeNumber, record, suspicion, T0 } from './support.ts'

const [a, b] = [nodeNumber(1), nodeNumber(2)]

/** A machine at which `a` is failed: both others suspect it. */
function failed() {
  const at = bench()
  at.hear({ kind: 'record', statement: record(a) })
  at.hear({ kind: 'record', statement: record(b) })
  at.hear({ kind: 'suspicion', statement: suspicion(a, { evidence: 'refused' }), observer: b })
  at.pass(30_000)
  expect(at.status(a)).toBe('failed')
  return at
}

test('a member that is failed is left once it is dismissed, and listed no more once it is pruned', () => {
  const at = failed()
  expect(eventsOf(at.hear({ kind: 'dismissal', statement: dismissal(a) }), a)).toEqual(['leave'])
  expect(at.status(a)).toBe('left')
  expect(eventsOf(at.hear({ kind: 'dismissal', statement: dismissal(a, { prune: true }) }), a)).toEqual(['reap'])
  expect(at.status(a)).toBeUndefined()
  expect(at.machine.knows(a)).toBe(true)
  expect(at.machine.invariants()).toEqual([])
})

test('late words about one that was pruned do not bring it back, and a newer one of its own does', () => {
  const at = failed()
  at.hear({ kind: 'dismissal', statement: dismissal(a, { prune: true }) })
  at.hear({ kind: 'record', statement: record(a) })
  at.hear({ kind: 'suspicion', statement: suspicion(a), observer: nodeNumber(3) })
  at.hear({ kind: 'dismissal', statement: dismissal(a) })
  at.pass(60_000)
  expect(at.status(a)).toBeUndefined()
  expect(eventsOf(at.hear({ kind: 'record', statement: record(a, { seq: 2 }) }), a)).toEqual(['join'])
  expect(at.status(a)).toBe('alive')
  expect(at.machine.invariants()).toEqual([])
})

test('one that lives is not dismissed, whoever says it', () => {
  const at = bench()
  at.hear({ kind: 'record', statement: record(a) })
  at.hear({ kind: 'record', statement: record(b) })
  expect(eventsOf(at.hear({ kind: 'dismissal', statement: dismissal(a, { prune: true }) }), a)).toEqual([])
  expect(at.status(a)).toBe('alive')
  expect(at.give({ type: 'dismiss', node: a, prune: true }).filter(({ type }) => type === 'publish')).toEqual([])
})

test('a dismissal of ourselves is answered with a newer record', () => {
  const at = bench()
  const before = at.machine.member(at.self)!
  at.now += 1_000
  const effects = [
    ...at.hear({ kind: 'dismissal', statement: dismissal(at.self, { epoch: before.epoch }) }),
    ...at.pass(1_000),
  ]
  expect(effects.some(({ type }) => type === 'publish')).toBe(true)
  expect(at.status(at.self)).toBe('alive')
  // One of a goodbye that was never said needs a new epoch to be above it.
  at.hear({ kind: 'dismissal', statement: dismissal(at.self, { epoch: before.epoch, seq: 2, presence: 'left' }) })
  at.pass(1_000)
  expect(at.machine.member(at.self)!.epoch).toBe(before.epoch + 1)
})

test('one that said goodbye is pruned too, and its next life is a member again', () => {
  const at = bench()
  at.hear({ kind: 'record', statement: record(a, { seq: 2, presence: 'left' }) })
  expect(at.status(a)).toBe('left')
  const effects = at.give({ type: 'dismiss', node: a, prune: true })
  expect(eventsOf(effects, a)).toEqual(['reap'])
  expect(effects.some(({ type }) => type === 'publish')).toBe(true)
  expect(at.status(a)).toBeUndefined()
  at.hear({ kind: 'record', statement: record(a, { epoch: 2 }) })
  expect(at.status(a)).toBe('alive')
})

test('an intermittent member that is overdue can be dismissed, and is alive again when it is heard', () => {
  const at = bench()
  at.hear({ kind: 'record', statement: record(a, { class: 'intermittent', contactDeadline: 600_000 }) })
  at.pass(1_200_000)
  expect(at.status(a)).toBe('overdue')
  expect(eventsOf(at.give({ type: 'dismiss', node: a, prune: false }), a)).toEqual(['leave'])
  at.pass(60_000)
  expect(at.status(a)).toBe('left')
  at.hear({ kind: 'record', statement: record(a, { class: 'intermittent', seq: 2 }, T0 + 1_260_000) })
  expect(at.status(a)).toBe('alive')
})
