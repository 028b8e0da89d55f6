import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../protocol/index.ts'

const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 })

describe('a seeded generator', () => {
  it('gives the same run for the same seed, and another for another', () => {
    const run = (from: number): number[] => {
      const random = seededRandom(from)
      return [random.int(1000), random.float(), ...random.shuffle([1, 2, 3, 4, 5]), random.pick([7, 8, 9])!]
    }
    fc.assert(
      fc.property(seed, from => {
        expect(run(from)).toEqual(run(from))
      }),
    )
    expect(new Set(Array.from({ length: 100 }, (_, from) => JSON.stringify(run(from)))).size).toBe(100)
  })

  it('keeps to its bounds', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 1, max: 2 ** 31 }), (from, bound) => {
        const random = seededRandom(from)
        for (let i = 0; i < 20; i++) {
          const n = random.int(bound)
          expect(Number.isInteger(n) && n >= 0 && n < bound).toBe(true)
          const f = random.float()
          expect(f >= 0 && f < 1).toBe(true)
        }
      }),
    )
  })

  it('reaches every value about as often as any other', () => {
    const random = seededRandom(42)
    const seen = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) seen[random.int(10)]! += 1
    for (const count of seen) expect(Math.abs(count - 1000)).toBeLessThan(150) // five standard deviations of 30
  })

  it('shuffles into every order, loses nothing and leaves the list that it was given alone', () => {
    const random = seededRandom(1)
    const given = ['a', 'b', 'c']
    const orders = new Set(Array.from({ length: 500 }, () => random.shuffle(given).join('')))
    expect(orders.size).toBe(6)
    expect(given).toEqual(['a', 'b', 'c'])
    fc.assert(
      fc.property(seed, fc.array(fc.integer()), (from, items) => {
        expect(seededRandom(from).shuffle(items).sort()).toEqual([...items].sort())
      }),
    )
  })

  it('picks one of what there is, or nothing', () => {
    const random = seededRandom(3)
    expect(random.pick([])).toBeUndefined()
    expect(random.pick(['only'])).toBe('only')
    expect(new Set(Array.from({ length: 100 }, () => random.pick([1, 2, 3])))).toEqual(new Set([1, 2, 3]))
  })
})
