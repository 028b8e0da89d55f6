import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Millis, NodeId } from '../../../protocol/index.ts'
import { markOf, nextDue, type SlotMark, taintsOf, tooOldAt, withMark } from '../../../rollout/index.ts'

const at = (value: number): Millis => value as Millis
const mark: fc.Arbitrary<SlotMark> = fc.record({
  why: fc.constantFrom('manual', 'drift', 'hotfix', 'age'),
  reason: fc.string({ maxLength: 8 }),
  by: fc.constant(''),
  at: fc.integer({ min: 0, max: 1_000 }).map(at),
  due: fc.integer({ min: 0, max: 1_000 }).map(at),
})

test('a slot has one mark of each kind: the newest word, and the time of the first', () => {
  fc.assert(
    fc.property(fc.array(mark, { maxLength: 20 }), given => {
      const marks = given.reduce<SlotMark[]>(withMark, [])
      expect(taintsOf(marks)).toEqual([...new Set(given.map(({ why }) => why))].sort())
      for (const kept of marks) {
        const same = given.filter(({ why }) => why === kept.why)
        expect(kept).toEqual({ ...same.at(-1)!, at: same[0]!.at })
      }
    }),
  )
})

test('a mark is due from its time on, and until then it is known when', () => {
  fc.assert(
    fc.property(fc.array(mark, { maxLength: 6 }), fc.integer({ min: 0, max: 1_000 }).map(at), (given, now) => {
      const marks = given.reduce<SlotMark[]>(withMark, [])
      expect(markOf(marks, now)?.due ?? false).toBe(marks.some(({ due }) => due <= now))
      const next = nextDue(marks, now)
      if (next === undefined) expect(marks.every(({ due }) => due <= now)).toBe(true)
      else expect(markOf(marks, next)?.due).toBe(true)
    }),
  )
})

test('nodes that were rolled together are not too old together, and none is early by more than a tenth', () => {
  const day = 86_400_000
  const ends = Array.from(
    { length: 200 },
    (_, index) => tooOldAt(at(0), 30 * day, `node-${index}` as NodeId, 'app') / day,
  )
  for (const end of ends) expect(end).toBeGreaterThanOrEqual(27)
  for (const end of ends) expect(end).toBeLessThanOrEqual(30)
  for (let from = 27; from < 30; from += 0.5) {
    const among = ends.filter(end => end >= from && end < from + 0.5).length
    expect(among).toBeGreaterThan(10)
  }
})
