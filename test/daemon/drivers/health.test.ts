import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { healthOf, tallied, UNKNOWN } from '../../../daemon/drivers/health.ts'

const looks = (results: readonly boolean[], thresholds = { failures: 3, successes: 1 }) =>
  results.reduce((tally, ok) => tallied(tally, ok ? undefined : 'answered 500', thresholds), UNKNOWN)
const one = (tally: ReturnType<typeof looks>) => healthOf([{ name: 'http', tally }])

describe('health', () => {
  it('is unknown until each check has passed', () => {
    expect(one(UNKNOWN)).toEqual({ health: 'unknown', reason: 'check http has not passed yet' })
    expect(one(looks([false]))).toEqual({
      health: 'unknown',
      reason: 'check http has not passed yet: answered 500',
    })
    expect(one(looks([false, true])).health).toBe('passing')
  })

  it('is failing from the failure threshold on, and names the check and what was wrong', () => {
    expect(one(looks([true, false, false])).health).toBe('passing')
    expect(one(looks([true, false, false, false]))).toEqual({ health: 'failing', reason: 'check http: answered 500' })
  })

  it('is passing again only after as many successes in a row as are asked for', () => {
    const thresholds = { failures: 1, successes: 2 }
    expect(one(looks([true, true, false, true], thresholds))).toEqual({
      health: 'failing',
      reason: 'check http: answered 500',
    })
    expect(one(looks([true, true, false, true, true], thresholds)).health).toBe('passing')
  })

  it('is passing with no checks at all, as running is all that is asked', () => {
    expect(healthOf([])).toEqual({ health: 'passing', reason: 'the program is running' })
  })

  it('follows the last looks alone, for any history and thresholds', () => {
    const threshold = fc.integer({ min: 1, max: 5 })
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 40 }), threshold, threshold, (results, failures, successes) => {
        // By definition: the latest moment at which either threshold was reached decides.
        let verdict = 'waiting'
        for (let end = 1; end <= results.length; end++) {
          const tail = (ok: boolean, length: number): boolean =>
            end >= length && results.slice(end - length, end).every(result => result === ok)
          if (tail(true, successes)) verdict = 'passing'
          if (tail(false, failures)) verdict = 'failing'
        }
        expect(looks(results, { failures, successes }).verdict).toBe(verdict)
      }),
    )
  })
})
