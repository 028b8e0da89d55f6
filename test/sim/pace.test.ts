import { expect, test } from 'vitest'
import { type Millis, millis, seededRandom } from '../../protocol/index.ts'
import { createPace, type Pace } from '../../rollout/index.ts'

/*
 * One link, behind it senders that send what they may at once, in virtual time: bytes wait in front of it in the order in which they
 * come, as in the queue of a router. A shaper lets a burst pass at once after a rest, as tc-tbf(8) does.
 */
interface Link {
  /** Bytes a millisecond. */
  readonly rate: number
  /** There and back, milliseconds. */
  readonly roundTrip: number
  /** Bytes. */
  readonly burst: number
}

interface Run {
  /** When all was there. Milliseconds. */
  readonly took: number
  /** The longest that a byte waited in front of the link once a fifth had passed. Milliseconds. */
  readonly longest: number
  readonly free: boolean
}

const CHUNK = 80_000

/**
 * Brings in `total` bytes from four senders, chunk by chunk; `mute` of them have accepted a request and never answer. Chunks come packed to
 * `packed` of what they were asked for as; who has sent one is asked for nothing for a second.
 */
function run(pace: Pace<number>, { rate, roundTrip, burst }: Link, total: number, { mute = 0, packed = 1 } = {}): Run {
  const random = seededRandom(1)
  const agenda: { at: number; what: () => void }[] = []
  const at = (time: number, what: () => void): void => {
    let low = 0
    for (let high = agenda.length; low < high; ) {
      const middle = (low + high) >> 1
      if (agenda[middle]!.at > time) low = middle + 1
      else high = middle
    }
    agenda.splice(low, 0, { at: time, what })
  }
  let now = 0
  const clock = (): Millis => millis(Math.floor(now))
  let tokens = burst
  let filledAt = 0
  let linkFree = 0
  let came = 0
  let longest = 0
  const senders = Array.from({ length: 4 }, (_, id) => ({
    id,
    since: clock(),
    wants: CHUNK,
    due: CHUNK * packed,
    unsent: CHUNK * packed,
    restsUntil: 0,
    mute: id < mute,
    allowed: 0,
  }))

  /** Packet by packet into the queue. */
  const send = (sender: (typeof senders)[number], bytes: number): void => {
    const sent = Math.min(bytes, sender.unsent)
    sender.unsent -= sent
    for (let left = sent; left > 0; left -= 1_448) {
      const size = Math.min(left, 1_448)
      tokens = Math.min(burst, tokens + Math.max(0, now - Math.max(filledAt, linkFree)) * rate)
      filledAt = now
      const fromBurst = linkFree <= now ? Math.min(tokens, size) : 0
      tokens -= fromBurst
      linkFree = Math.max(linkFree, now) + (size - fromBurst) / rate
      if (came > total / 5) longest = Math.max(longest, linkFree - now)
      at(linkFree + roundTrip / 2, () => {
        came += size
        sender.due -= size
        pace.came(clock(), sender.id, size)
        if (sender.due === 0 && packed < 1) {
          Object.assign(sender, { wants: 0, restsUntil: now + 1_000 })
          pace.settled(sender.id)
        }
        share()
      })
    }
  }
  const share = (): void => {
    for (const sender of senders)
      if (!sender.mute && sender.due === 0 && now >= sender.restsUntil && came < total) {
        const due = CHUNK * packed
        Object.assign(sender, { wants: CHUNK, due, unsent: due, since: clock() })
      }
    const waiting = senders.filter(({ wants }) => wants > 0)
    const given = pace.free(clock())
      ? new Map(waiting.map(({ id, wants }) => [id, wants]))
      : pace.grant(
          clock(),
          waiting.map(({ id, since, wants }) => ({ id, since, bytes: wants })),
        )
    for (const [id, bytes] of random.shuffle([...given])) {
      const sender = senders[id]!
      sender.wants -= bytes
      if (!sender.mute) at(now + roundTrip / 2, () => send(sender, bytes))
    }
  }
  const tick = (): void => {
    share()
    at(now + 250, tick)
  }
  tick()
  while (came < total) {
    const { at: time, what } = agenda.pop()!
    now = time
    what()
    if (now > 3_600_000) throw new Error('an hour has passed')
  }
  return { took: now, longest, free: pace.free(clock()) }
}

/** As without a pace: who is asked sends. */
const heedless = (): Pace<number> => ({
  ...createPace<number>(),
  free: () => true,
})

const SLOW: Link = { rate: 10, roundTrip: 20, burst: 32_768 }

test.each([
  ['10 KB/s behind a shaper', SLOW],
  ['10 KB/s', { rate: 10, roundTrip: 2, burst: 0 }],
  ['50 KB/s over a satellite', { rate: 50, roundTrip: 600, burst: 0 }],
  ['100 KB/s', { rate: 100, roundTrip: 40, burst: 32_768 }],
])('a link of %s is full, and what waits in front of it waits for less than a second', (_, link) => {
  const total = link.rate * 60_000
  const { took, longest } = run(createPace(), link, total)
  expect(took).toBeLessThanOrEqual((1.1 * total) / link.rate)
  expect(longest).toBeLessThanOrEqual(1_000)
})

test('without a pace probes would wait behind chunks for half a minute there', () => {
  expect(run(heedless(), SLOW, 600_000).longest).toBeGreaterThan(20_000)
})

test.each([
  ['32 Mbit/s', { rate: 4_000, roundTrip: 2, burst: 0 }],
  ['a gigabit', { rate: 125_000, roundTrip: 1, burst: 0 }],
  ['a gigabit over an ocean', { rate: 125_000, roundTrip: 150, burst: 0 }],
])('a link of %s is found to be fast before a mebibyte has come', (_, link) => {
  const { took, free } = run(createPace(), link, 2 ** 20)
  expect(free).toBe(true)
  expect(took).toBeLessThanOrEqual(2 ** 20 / link.rate + 14 * link.roundTrip + 50)
})

test('a sender that never sends what it may costs a slow link some seconds, and not more each time', () => {
  const total = 600_000
  expect(run(createPace(), SLOW, total, { mute: 1 }).took).toBeLessThanOrEqual(total / SLOW.rate + 5_000)
})

test('chunks that come packed leave nothing of a slow link unused', () => {
  const total = 600_000
  const { took, longest } = run(createPace(), SLOW, total, { packed: 0.1 })
  expect(took).toBeLessThanOrEqual((1.15 * total) / SLOW.rate)
  expect(longest).toBeLessThanOrEqual(1_000)
})

test('a link that was fast and is slow now is found out', () => {
  const pace = createPace<number>()
  run(pace, { rate: 125_000, roundTrip: 1, burst: 0 }, 2 ** 20)
  let now = 60_000
  for (let second = 0; second < 3; second++) {
    now += 1_000
    pace.heard(millis(now), 10_000, true)
  }
  expect(pace.free(millis(now))).toBe(false)
})
