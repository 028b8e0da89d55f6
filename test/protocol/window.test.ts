import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Millis, parseWindow, windowsAt } from '../../protocol/index.ts'

const at = (text: string): Millis => Date.parse(text) as Millis
const HOUR = 3_600_000

/** Whether it is open at each of these times. */
const open = (window: string, ...times: string[]): boolean[] =>
  times.map(time => windowsAt([parseWindow(window)], at(time)).open)

describe('a window as text', () => {
  test.each([
    ['0 2 * * *', '3h', 'Europe/Berlin'],
    ['*/15 0-8/2 * * MON-FRI', '90m', 'America/Argentina/Ushuaia'],
    ['@daily', '1d', 'Etc/GMT+5'],
  ])('%s, %s and %s are its three pieces', (cron, duration, zone) => {
    const window = parseWindow(`${cron}/${duration}/${zone}`)
    expect(window).toMatchObject({ cron, zone })
    expect(parseWindow(`${cron}/${duration}`)).toEqual({ ...window, zone: 'UTC' })
  })

  test.each([
    ['0 2 * * *', /expected CRON\/DURATION\/ZONE/],
    ['61 * * * */1h/UTC', /61/],
    ['0 2 * * */1h/Mars/Olympus', /no time zone Mars\/Olympus.*Europe\/Berlin/],
    ['0 2 30 2 */1h/UTC', /never opens/],
    ['0 2 * * */1s/UTC', /1m to 31d/],
    ['0 2 * * */32d/UTC', /1m to 31d/],
  ])('%s is refused', (text, message) => {
    expect(() => parseWindow(text)).toThrow(message)
  })
})

describe('a window', () => {
  test('is open from its time on, until its duration is over', () => {
    const times = [
      '2026-06-01T01:59:59.999Z',
      '2026-06-01T02:00:00Z',
      '2026-06-01T04:59:59.999Z',
      '2026-06-01T05:00:00Z',
    ]
    expect(open('0 2 * * */3h/UTC', ...times)).toEqual([false, true, true, false])
  })

  test('says when it opens and when it closes', () => {
    const nights = [parseWindow('0 2 * * SAT/2h/UTC'), parseWindow('0 3 * * SAT/2h/UTC')]
    expect(windowsAt(nights, at('2026-06-01T12:00:00Z'))).toEqual({ open: false, opens: at('2026-06-06T02:00:00Z') })
    expect(windowsAt(nights, at('2026-06-06T03:30:00Z'))).toEqual({ open: true, closes: at('2026-06-06T05:00:00Z') })
    expect(windowsAt([], at('2026-06-06T03:30:00Z'))).toEqual({ open: true, closes: null })
  })

  test('follows the wall clocks of its zone through the year', () => {
    expect(open('0 2 * * */1h/Europe/Berlin', '2026-01-10T01:30:00Z', '2026-07-10T01:30:00Z')).toEqual([true, false])
    expect(open('0 2 * * */1h/Europe/Berlin', '2026-01-10T00:30:00Z', '2026-07-10T00:30:00Z')).toEqual([false, true])
    // The two weeks of March in which New York has summer time and Berlin has not.
    expect(open('0 22 * * */1h/America/New_York', '2026-03-07T03:30:00Z', '2026-03-11T02:30:00Z')).toEqual([true, true])
  })

  test('opens once where a wall clock shows its time not at all or twice, and is as long as ever', () => {
    // 02:30 does not exist in Berlin on 29 March 2026: it opens at 03:00 summer time, 01:00 UTC.
    const spring = ['2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z', '2026-03-29T02:59:59Z', '2026-03-29T03:00:00Z']
    expect(open('30 2 * * */2h/Europe/Berlin', ...spring)).toEqual([false, true, true, false])
    // 02:30 comes twice on 25 October 2026, at 00:30 and 01:30 UTC: the first counts.
    const autumn = ['2026-10-25T00:29:59Z', '2026-10-25T00:30:00Z', '2026-10-25T01:29:59Z', '2026-10-25T01:30:00Z']
    expect(open('30 2 * * */1h/Europe/Berlin', ...autumn)).toEqual([false, true, true, false])
  })

  test('never opens on a host that does not know its zone', () => {
    const unknown = { cron: '* * * * *', duration: HOUR, zone: 'Mars/Olympus' }
    expect(windowsAt([unknown], at('2026-06-01T00:00:00Z'))).toEqual({ open: false, opens: null })
  })

  test('is open for exactly its duration after it said it would open, whenever it is asked', () => {
    const from = at('2026-01-01T00:00:00Z')
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata')
    const window = fc
      .record({ hour: fc.nat(23), minute: fc.nat(59), zone, duration: fc.integer({ min: 1, max: 20 }) })
      .map(({ hour, minute, duration, zone }) => parseWindow(`${minute} ${hour} * * */${duration}h/${zone}`))
    fc.assert(
      fc.property(window, fc.nat(365 * 24 * 60), (asked, minutes) => {
        const now = (from + minutes * 60_000) as Millis
        const state = windowsAt([asked], now)
        const opens = state.open ? state.closes! - asked.duration : state.opens!
        const isOpen = (time: number): boolean => windowsAt([asked], time as Millis).open
        expect([isOpen(opens - 1), isOpen(opens), isOpen(opens + asked.duration - 1)]).toEqual([false, true, true])
        expect(state.open ? opens <= now : opens > now).toBe(true)
        expect(opens - now).toBeLessThan(26 * HOUR)
      }),
      { numRuns: 200 },
    )
  })
})
