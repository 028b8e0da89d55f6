import { expect, test } from 'vitest'
import type { Address } from '../../protocol/index.ts'
import { bench, nodeNumber, record } from './support.ts'

test('a host that has a new address calls at once those that it could not reach for long', () => {
  const at = '/ip4/10.0.0.2/tcp/7946' as Address
  const peer = nodeNumber(1)
  const one = bench()
  one.hear({ kind: 'record', statement: record(peer, { addresses: [at] }) })
  const calls = (effects: ReturnType<typeof one.give>): number =>
    effects.filter(effect => effect.type === 'connect' && effect.peer === peer).length
  const fail = (): unknown => one.give({ type: 'dialFailed', peer, addresses: [at], refused: false })
  // Ten failures in a row: from now on calls are half a minute and more apart.
  for (let count = 0; count < 10; ) {
    if (calls(one.pass(1_000)) === 0) continue
    fail()
    count += 1
  }
  expect(calls(one.pass(2_000))).toBe(0)
  const effects = one.give({ type: 'record', change: { addresses: ['/ip4/10.9.0.1/tcp/7946' as Address] } })
  expect(calls([...effects, ...one.pass(2_000)])).toBe(1)
})
