import { expect, test } from 'vitest'
import { decodeFrame, encodeFrame } from '../../membership/frames.ts'
import type { Heard, MembershipEffect } from '../../membership/index.ts'
import { bench, dismissal, nodeNumber, record, suspicion } from './support.ts'

const [self, peer] = [nodeNumber(0), nodeNumber(1)]

/** The records of ourselves that a frame of claims of this epoch and seq about us is answered with. */
function answers(kind: 'suspicion' | 'dismissal', version: { epoch: number; seq: number }): Uint8Array[] {
  const statement = kind === 'suspicion' ? suspicion(self, version) : dismissal(self, version)
  const heard = (kind === 'suspicion' ? { kind, statement, observer: peer } : { kind, statement }) as Heard
  const at = bench({ epoch: 2, open: () => heard })
  at.hear({ kind: 'record', statement: record(peer) })
  at.give({ type: 'linkUp', peer })
  const frame = encodeFrame({ type: 'items', items: [[kind, statement.bytes]], last: false })
  return at.give({ type: 'frame', peer, frame }).flatMap(recordsIn)
}
const recordsIn = (effect: MembershipEffect): Uint8Array[] => {
  if (effect.type !== 'send' || effect.peer !== peer) return []
  const frame = decodeFrame(effect.frame)
  return frame.type === 'items' ? frame.items.filter(([kind]) => kind === 'record').map(([, bytes]) => bytes) : []
}

test.each(['suspicion', 'dismissal'] as const)(
  'who shows us a %s of a version that we have replaced is given our record, which it has missed',
  kind => {
    expect(answers(kind, { epoch: 1, seq: 9 })).toHaveLength(1)
  },
)

test('a suspicion of what we said last is refuted to everybody, and not to who brought it alone', () => {
  expect(answers('suspicion', { epoch: 2, seq: 1 })).toEqual([])
})
