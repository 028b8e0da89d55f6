import { expect, test } from 'vitest'
import { createAskers } from '../../../daemon/dns/askers.ts'
import { millis } from '../../../protocol/index.ts'

const RATES = { each: { perSecond: 10, burst: 20 }, all: { perSecond: 100, burst: 200 }, most: 4 }
const NOW = millis(1_000)

/** How many of so many questions are answered. */
const asks = (askers: ReturnType<typeof createAskers>, address: string, times: number, now = NOW): number =>
  Array.from({ length: times }, () => askers.take(now, address)).filter(Boolean).length

test('one asker without end gets its share, and the others are answered all the same', () => {
  const askers = createAskers(RATES)
  expect(asks(askers, '10.0.0.1', 10_000)).toBe(20)
  expect(asks(askers, '10.0.0.2', 20)).toBe(20)
  expect(asks(askers, '10.0.0.1', 100, millis(2_000))).toBe(10)
})

test('all together get no more than the whole', () => {
  const askers = createAskers({ ...RATES, most: 1_000 })
  const answered = Array.from({ length: 100 }, (_, host) => asks(askers, `10.0.0.${host}`, 20))
  expect(answered.reduce((sum, count) => sum + count)).toBe(200)
})

test('an IPv6 network of one host is one asker, however it is written; another network is another', () => {
  const askers = createAskers(RATES)
  expect(asks(askers, 'fd00::1', 15) + asks(askers, 'fd00:0:0:0:a:b:c:d', 15)).toBe(20)
  expect(asks(askers, 'fd00:0:0:1::1', 15)).toBe(15)
})

test('who comes by IPv4 to a socket of both families is one asker, and not all of them together', () => {
  const askers = createAskers(RATES)
  expect(asks(askers, '::ffff:10.0.0.1', 15) + asks(askers, '10.0.0.1', 15)).toBe(20)
  expect(asks(askers, '::ffff:10.0.0.2', 15)).toBe(15)
})

test('loopback has no share of its own, and who asks from there is bounded by the whole', () => {
  const askers = createAskers(RATES)
  expect(asks(askers, '127.0.0.1', 150) + asks(askers, '::1', 150)).toBe(200)
})

test('of more askers than are told apart the one that is silent longest is forgotten', () => {
  const askers = createAskers(RATES)
  for (const host of [1, 2, 3, 4]) asks(askers, `10.0.0.${host}`, 20)
  asks(askers, '10.0.0.1', 1)
  asks(askers, '10.0.0.5', 1)
  expect(asks(askers, '10.0.0.1', 1)).toBe(0)
  expect(asks(askers, '10.0.0.2', 1)).toBe(1)
})
