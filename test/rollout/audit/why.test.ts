import { expect, test } from 'vitest'
import type { AuditEntry, Digest, Millis } from '../../../protocol/index.ts'
import { causesOf } from '../../../rollout/index.ts'

let seq = 0
const entry = (kind: string, subject: string, detail: Record<string, string> = {}): AuditEntry => ({
  ...{ seq: ++seq, at: seq as Millis, kind, subject, by: '', text: kind, detail },
  previous: '' as Digest,
})
const step = (kind: string, token: string, plan: string) =>
  entry(kind, 'app', { layer: 'app', token, plan, generation: plan.slice(1) })

test('what runs is walked back to its permit and its plan, and not to those of others', () => {
  const log = [
    entry('plan-accepted', 'web', { plan: 'p1', generation: '1' }),
    step('permit-taken', '4', 'p1'),
    step('activated', '4', 'p1'),
    step('healthy', '4', 'p1'),
    entry('plan-accepted', 'web', { plan: 'p2', generation: '2' }),
    entry('rollout-phase', 'web', { generation: '2' }),
    entry('rollout-phase', 'db', { generation: '2' }),
    step('permit-taken', '9', 'p2'),
    step('activated', '9', 'p2'),
    step('rolled-back', '9', 'p2'),
    step('permit-returned', '9', 'p2'),
  ]
  const [cause] = causesOf(log, ['app', 'base'])
  expect(cause?.layer).toBe('app')
  expect(cause?.steps.map(({ kind, detail }) => `${kind} ${detail.token ?? ''}`.trim())).toEqual([
    'permit-returned 9',
    'rolled-back 9',
    'activated 9',
    'permit-taken 9',
    'rollout-phase',
    'plan-accepted',
  ])
})

test('marks are told while they last', () => {
  const log = [
    entry('taint', '', { state: 'on' }),
    entry('drift', 'app', { layer: 'app', state: 'on' }),
    entry('drift', 'app', { layer: 'app', state: 'over' }),
  ]
  expect(causesOf(log, [])).toMatchObject([{ layer: null, steps: [{ kind: 'taint' }] }])
})
