import { expect, test } from 'vitest'
import { bench, eventsOf, nodeNumber, record, suspicion } from './support.ts'

const [subject, observer] = [nodeNumber(1), nodeNumber(2)]

test('what was failed by the word of one that is revoked since is alive again, as it is to those who never took that word', () => {
  const at = bench()
  at.hear({ kind: 'record', statement: record(subject) })
  at.hear({ kind: 'record', statement: record(observer) })
  at.hear({ kind: 'suspicion', statement: suspicion(subject, { evidence: 'refused' }), observer })
  at.pass(5_000)
  expect(at.status(subject)).toBe('failed')
  expect(eventsOf(at.give({ type: 'revoked', node: observer }), subject)).toEqual(['join'])
  expect(at.status(subject)).toBe('alive')
  expect(at.machine.invariants()).toEqual([])
})
