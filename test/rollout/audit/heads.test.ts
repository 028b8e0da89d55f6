import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS, type Millis, sha256 } from '../../../protocol/index.ts'
import { type KeptHead, NO_HEADS, takeHead } from '../../../rollout/index.ts'

/** Entry `seq` of one of two logs that are the same up to, and without, `from`. */
const head = (seq: number, log = 'a', from = 0, epoch = 1): KeptHead => ({
  seq,
  epoch,
  hash: sha256(Buffer.from(`${seq < from ? 'a' : log}${seq}`)),
  at: seq as Millis,
  bytes: Uint8Array.of(seq & 255),
})
const kept = (heads: readonly KeptHead[]) => heads.reduce((list, next) => takeHead(list, next).list, NO_HEADS)
const growing = (max: number) =>
  fc.uniqueArray(fc.integer({ min: 1, max }), { minLength: 1, maxLength: 200 }).map(seqs => seqs.sort((a, b) => a - b))

describe('the heads that are kept of a log', () => {
  it('are bounded, in order, and the oldest and the newest are among them', () => {
    fc.assert(
      fc.property(growing(100_000), seqs => {
        const { heads, conflicts } = kept(seqs.map(seq => head(seq)))
        const left = heads.map(({ seq }) => seq)
        expect(conflicts).toEqual([])
        expect(left.length).toBe(Math.min(seqs.length, LIMITS.auditHeads))
        expect([left[0], left.at(-1)]).toEqual([seqs[0], seqs.at(-1)])
        expect(left).toEqual([...left].sort((a, b) => a - b))
      }),
    )
  })

  it('lie the denser the nearer they are to the end', () => {
    const left = kept(Array.from({ length: 5_000 }, (_, index) => head(index + 1))).heads.map(({ seq }) => 5_000 - seq)
    const within = (age: number): number => left.filter(each => each <= age).length
    expect(within(10)).toBeGreaterThanOrEqual(3)
    expect(within(500)).toBeGreaterThanOrEqual(7)
    expect(within(2_500)).toBeLessThan(LIMITS.auditHeads)
  })

  it('come in any order, and once', () => {
    const { list } = takeHead(kept([head(1), head(5)]), head(5))
    expect(takeHead(list, head(3)).taken).toBe('known')
    expect(takeHead(list, head(6)).taken).toBe('news')
  })

  it('contradict an entry of the same number with another hash', () => {
    const { list, taken } = takeHead(kept([head(1), head(5)]), head(5, 'b'))
    expect(taken).toBe('conflict')
    expect(list).toMatchObject({ heads: [{ seq: 1 }, { seq: 5 }], conflicts: [{ seq: 5 }] })
    expect(takeHead(list, head(5, 'b')).taken).toBe('known')
  })

  it('contradict a later start with a shorter log, whichever of the two comes first', () => {
    expect(takeHead(kept([head(9, 'a', 0, 1)]), head(4, 'a', 0, 2)).taken).toBe('conflict')
    expect(takeHead(kept([head(4, 'a', 0, 2)]), head(9, 'a', 0, 1)).taken).toBe('conflict')
  })

  it('keep few of many that contradict them', () => {
    const list = kept([head(9), ...Array.from({ length: 50 }, (_, index) => head(9, `b${index}`))])
    expect(list.conflicts).toHaveLength(4)
  })
})
