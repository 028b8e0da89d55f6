import { expect, test } from 'vitest'
import type { MembershipEffect } from '../../membership/index.ts'
import type { Address } from '../../protocol/index.ts'
import { bench, record, T0, vitals } from './support.ts'

const twins = (effects: readonly MembershipEffect[]) => effects.filter(({ type }) => type === 'twin')
const ELSEWHERE = ['/ip4/10.0.0.77/tcp/7946' as Address]

test('what was signed with our key while we live, and not by us, is of a twin; we outdo it all the same', () => {
  const at = bench()
  at.pass(5_000)
  const heard = at.hear({ kind: 'record', statement: record(at.self, { epoch: 3, addresses: ELSEWHERE }, T0 + 4_000) })
  expect(twins(heard)).toEqual([{ type: 'twin', addresses: ELSEWHERE }])
  at.pass(1_000)
  expect(at.machine.member(at.self)!.epoch).toBe(4)
})

test('vitals tell of one too, though not of where it is', () => {
  const at = bench()
  at.pass(5_000)
  const said = vitals(at.self, { epoch: 9 })
  expect(twins(at.hear({ kind: 'vitals', statement: { ...said, clock: record(at.self, {}, T0 + 1).clock } }))).toEqual([
    { type: 'twin', addresses: undefined },
  ])
})

test('what an earlier life said, which the directory does not know because it is an old copy, is of no twin', () => {
  const at = bench()
  at.pass(5_000)
  for (const epoch of [3, 7])
    expect(twins(at.hear({ kind: 'record', statement: record(at.self, { epoch }, T0 - 60_000) }))).toEqual([])
  at.pass(1_000)
  expect(at.machine.member(at.self)!.epoch).toBe(8)
})

test('neither is an echo of what this life said itself', () => {
  const at = bench()
  const { epoch } = at.machine.member(at.self)!
  at.pass(5_000)
  expect(twins(at.hear({ kind: 'record', statement: record(at.self, { epoch, seq: 1 }, T0 + 1) }))).toEqual([])
})
