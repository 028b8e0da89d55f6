import fc from 'fast-check'
import { expect, test } from 'vitest'
import { millis } from '../../../protocol/index.ts'
import { createAllotment, createPurse, type RateLimits, type Want } from '../../../rollout/index.ts'

const ZONES = ['a', 'b', 'c']
const rate = fc.integer({ min: 10_000, max: 20_000_000 })
const limits: fc.Arbitrary<RateLimits> = fc.record({
  total: fc.option(rate, { nil: undefined }),
  zones: fc.dictionary(fc.constantFrom(...ZONES), rate),
})
const wants: fc.Arbitrary<Want<number>[]> = fc
  .array(fc.record({ zone: fc.constantFrom(...ZONES), bytes: fc.integer({ min: 0, max: 5_000_000 }) }), {
    maxLength: 8,
  })
  .map(list => list.map((want, id) => ({ ...want, id, metered: false })))

test('within any second no limit is passed by more than a tenth, whoever wants what and whenever it is asked', () => {
  fc.assert(
    fc.property(
      limits,
      fc.array(fc.tuple(fc.integer({ min: 1, max: 400 }), wants), { maxLength: 60 }),
      (given, calls) => {
        const { allot } = createAllotment()
        const passed: { at: number; zone: string; bytes: number }[] = []
        let now = 0
        for (const [later, asked] of calls) {
          now += later
          const shares = allot(millis(now), given, asked, Number.POSITIVE_INFINITY)
          for (const { id, zone, bytes } of asked) {
            const share = shares.get(id) ?? 0
            expect(share).toBeLessThanOrEqual(bytes)
            passed.push({ at: now, zone, bytes: share })
          }
        }
        for (const { at: from } of passed) {
          const second = passed.filter(({ at }) => at >= from && at < from + 1_000)
          const sum = (zone?: string): number =>
            second.filter(each => zone === undefined || each.zone === zone).reduce((all, { bytes }) => all + bytes, 0)
          const most = (limit: number): number => limit * 1.1
          if (given.total !== undefined) expect(sum()).toBeLessThanOrEqual(most(given.total))
          for (const [zone, limit] of Object.entries(given.zones)) expect(sum(zone)).toBeLessThanOrEqual(most(limit))
        }
      },
    ),
    { numRuns: 200 },
  )
})

test('who always wants more gets the whole of the limit, in equal parts', () => {
  fc.assert(
    fc.property(rate, fc.integer({ min: 1, max: 6 }), (total, count) => {
      const { allot } = createAllotment()
      const got = new Array<number>(count).fill(0)
      for (let now = 0; now <= 20_000; now += 25) {
        // As daemon/images/throttle.ts asks: who was given something goes to the end.
        const order = got.map((bytes, id) => ({ id, bytes })).sort((a, b) => a.bytes - b.bytes)
        const asked = order.map(({ id }) => ({ id, zone: 'a', metered: false, bytes: 1_000_000 }))
        for (const [id, bytes] of allot(millis(now), { total, zones: {} }, asked, Number.POSITIVE_INFINITY))
          got[id]! += bytes
      }
      const sum = got.reduce((all, bytes) => all + bytes, 0)
      expect(sum).toBeGreaterThanOrEqual(total * 20 * 0.98)
      for (const bytes of got) expect(Math.abs(bytes - sum / count)).toBeLessThanOrEqual(Math.max(1_024, sum * 0.02))
    }),
    { numRuns: 30 },
  )
})

test('a limit that is raised, lowered or lifted counts at once', () => {
  const { allot } = createAllotment()
  const want = [{ id: 1, zone: 'a', metered: false, bytes: 10_000_000 }]
  const over = (from: number, to: number, given: RateLimits): number => {
    let sum = 0
    for (let now = from; now < to; now += 25)
      sum += allot(millis(now), given, want, Number.POSITIVE_INFINITY).get(1) ?? 0
    return sum
  }
  over(0, 1_000, { total: 1_000_000, zones: {} })
  const raised = over(1_000, 2_000, { total: 4_000_000, zones: {} })
  expect(raised).toBeGreaterThan(3_800_000)
  expect(raised).toBeLessThanOrEqual(4_400_000)
  expect(over(2_000, 3_000, { total: 500_000, zones: {} })).toBeLessThanOrEqual(550_000)
  expect(over(3_000, 3_025, { zones: {} })).toBe(10_000_000)
})

test('what is metered stops where the budget ends and goes on in the next window; what is not is not counted', () => {
  const { allot } = createAllotment()
  const purse = createPurse()
  const budget = { bytes: 10_000, window: 60_000 }
  const asked = [
    { id: 'far', zone: 'b', metered: true, bytes: 4_000 },
    { id: 'near', zone: 'a', metered: false, bytes: 4_000 },
  ]
  const round = (now: number): [number, number] => {
    const shares = allot(millis(now), { zones: {} }, asked, purse.left(budget, millis(now)))
    purse.spend(shares.get('far') ?? 0)
    return [shares.get('far') ?? 0, shares.get('near') ?? 0]
  }
  let spent = 0
  for (let now = 0; now < 60_000; now += 5_000) {
    const [far, near] = round(now)
    spent += far
    expect(near).toBe(4_000)
  }
  // What is too little for a message stays in the purse.
  expect(spent).toBeGreaterThan(10_000 - 512)
  expect(spent).toBeLessThanOrEqual(10_000)
  expect(round(60_000)[0]).toBe(4_000)
  // What a former process has spent is spent.
  expect(createPurse(purse.spent()).left(budget, millis(60_001))).toBe(6_000)
})
