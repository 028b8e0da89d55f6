import { expect, test } from 'vitest'
import type { MembershipEffect } from '../../membership/index.ts'
import type { Address } from '../../protocol/index.ts'
import { bench, record, T0, vitals } from './support.ts'

const twins = (effects: readonly MembershipEffect[]) => effects.filter(({ type }) => type === 'twin')
const ELSEWHERE = ['/ip4/10.0.0.77/tcp/7946' as Address]

test('who goes on from the epoch that we went to, again and again, is a twin; we outdo it all the same', () => {
  const at = bench()
  const hear = (epoch: number, seq = 1) => {
    at.pass(2_000)
    return twins(at.hear({ kind: 'record', statement: record(at.self, { epoch, seq, addresses: ELSEWHERE }) }))
  }
  expect(hear(3)).toEqual([])
  expect(hear(5)).toEqual([])
  expect(hear(7)).toEqual([{ type: 'twin', addresses: ELSEWHERE }])
  // In step with us, it goes to the same epoch as we do.
  expect(hear(8, 9)).toEqual([{ type: 'twin', addresses: ELSEWHERE }])
  at.pass(2_000)
  expect(at.machine.member(at.self)!.epoch).toBe(9)
})

test('vitals tell of one too, though not of where it is, and late ones of its last epoch change nothing', () => {
  const at = bench()
  const hear = (epoch: number) => {
    at.pass(2_000)
    return twins(at.hear({ kind: 'vitals', statement: vitals(at.self, { epoch }) }))
  }
  expect([hear(9), hear(9), hear(11), hear(11), hear(13)]).toEqual([
    ...[[], [], [], []],
    [{ type: 'twin', addresses: undefined }],
  ])
})

test('what an earlier life said, which the directory does not know because it is an old copy, is of no twin', () => {
  const at = bench()
  at.pass(5_000)
  // However its clock went: a board without a battery boots in the past, and one that was ahead was set.
  for (const [epoch, clock] of [
    [3, T0 - 60_000],
    [7, T0 + 200_000],
    [8, T0 + 300_000],
  ] as const)
    expect(twins(at.hear({ kind: 'record', statement: record(at.self, { epoch, seq: 40 }, clock) }))).toEqual([])
  at.pass(1_000)
  expect(at.machine.member(at.self)!.epoch).toBe(9)
})

test('neither is an echo of what this life said itself', () => {
  const at = bench()
  const { epoch } = at.machine.member(at.self)!
  at.pass(5_000)
  expect(twins(at.hear({ kind: 'record', statement: record(at.self, { epoch, seq: 1 }, T0 + 1) }))).toEqual([])
})
