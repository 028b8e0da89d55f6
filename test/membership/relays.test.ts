import { expect, test } from 'vitest'
import { lan } from '../../membership/profiles.ts'
import { createRelays } from '../../membership/relays.ts'
import { millis } from '../../protocol/index.ts'
import { nodeNumber, T0 } from './support.ts'

const [ASKER, SUBJECT] = [nodeNumber(1), nodeNumber(2)]
const now = millis(T0)

test('an answer goes to whoever asked, under the serial that it asked with, once', () => {
  const relays = createRelays(lan())
  const serial = relays.begin(now, ASKER, 7, SUBJECT)!
  expect(relays.answered(serial, SUBJECT)).toMatchObject({ asker: ASKER, serial: 7 })
  expect(relays.answered(serial, SUBJECT)).toBeUndefined()
})

test('nobody answers for the subject, and a serial of our own probes is none of theirs', () => {
  const relays = createRelays(lan())
  const serial = relays.begin(now, ASKER, 7, SUBJECT)!
  expect(relays.answered(serial, ASKER)).toBeUndefined()
  expect(relays.answered(7, SUBJECT)).toBeUndefined()
  expect(relays.answered(serial, SUBJECT)).toBeDefined()
})

test('what is not answered is told early enough for the asker to hear it before it gives up', () => {
  const profile = lan()
  const relays = createRelays(profile)
  relays.begin(now, ASKER, 7, SUBJECT)
  const due = relays.nextAt()
  expect(due - now).toBeLessThan(profile.probeTimeout)
  expect(relays.expired(millis(due - 1))).toEqual([])
  expect(relays.expired(millis(due))).toMatchObject([{ asker: ASKER, serial: 7, subject: SUBJECT }])
  expect(relays.expired(millis(due))).toEqual([])
  expect(relays.nextAt()).toBe(Number.POSITIVE_INFINITY)
})

test('only so many are under way at once, and there is room again when they are through', () => {
  const relays = createRelays(lan())
  const begun = Array.from({ length: 300 }, (_, n) => relays.begin(now, ASKER, n, SUBJECT))
  expect(begun.filter(serial => serial !== undefined)).toHaveLength(256)
  relays.expired(millis(now + 1_000))
  expect(relays.begin(now, ASKER, 1, SUBJECT)).toBeDefined()
})
