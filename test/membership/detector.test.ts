import { beforeEach, describe, expect, test } from 'vitest'
import { createAwareness } from '../../membership/awareness.ts'
import { ORIGIN } from '../../membership/coordinates.ts'
import { createDetector, type Detector } from '../../membership/detector.ts'
import type { Knock } from '../../membership/evidence.ts'
import { lan } from '../../membership/profiles.ts'
import { type Millis, millis, type NodeId, seededRandom } from '../../protocol/index.ts'
import { nodeNumber, T0 } from './support.ts'

const SUBJECT = nodeNumber(1)
const RELAYS = [nodeNumber(2), nodeNumber(3)] as const
// Half of the interval, so that the two steps of a probe are of one length.
const profile = { ...lan(), probeTimeout: 500 }

/** A detector, the world around it as plain values, and a list of what it did. */
const world = {
  now: T0,
  said: [] as unknown[][],
  subjects: [SUBJECT] as NodeId[],
  attachments: [] as NodeId[],
  observers: [] as NodeId[],
  relays: [...RELAYS] as NodeId[],
  linked: true,
  heardAt: 0,
  saidAt: 0,
  measurements: 0,
}
let awareness = createAwareness()
let detector: Detector

beforeEach(() => {
  Object.assign(world, {
    now: T0,
    said: [],
    subjects: [SUBJECT],
    attachments: [],
    observers: [],
    relays: [...RELAYS],
    linked: true,
    heardAt: 0,
    saidAt: 0,
    measurements: 0,
  })
  awareness = createAwareness()
  const say =
    (what: string) =>
    (...args: unknown[]): void =>
      void world.said.push([what, ...args])
  detector = createDetector(
    {
      profile,
      awareness,
      random: seededRandom(1),
      subjects: () => world.subjects,
      attachments: () => world.attachments,
      observers: () => world.observers,
      measurements: () => world.measurements,
      saidAt: () => world.saidAt as Millis,
      sendBeat: say('beat'),
      heardAt: () => world.heardAt as Millis,
      relays: () => world.relays,
      linked: () => world.linked,
      sendProbe: say('probe'),
      askRelay: say('relay'),
      knock: say('knock'),
      measured: say('measured'),
      unheard: say('unheard'),
    },
    millis(T0),
  )
})

const wake = (): void => detector.wake(millis(world.now))
/** Wakes it whenever it wants, for so long. */
const pass = (milliseconds: number): void => {
  const end = world.now + milliseconds
  while (detector.nextAt() <= end) {
    world.now = Math.max(world.now, detector.nextAt())
    wake()
  }
  world.now = end
}
const of = (what: string): unknown[][] => world.said.filter(([kind]) => kind === what)
/** Until a first probe is out; gives its serial. */
const probed = (): number => {
  while (of('probe').length === 0) {
    world.now = detector.nextAt()
    wake()
  }
  return of('probe')[0]![2] as number
}

test('an answer is measured, and makes this node trust itself more', () => {
  awareness.refuted()
  const serial = probed()
  world.now += 7.25
  world.heardAt = world.now
  detector.ack(millis(world.now), serial, SUBJECT, ORIGIN)
  expect(of('measured')).toEqual([['measured', world.now, SUBJECT, 7.25, ORIGIN]])
  expect(awareness.score).toBe(0)
  world.said.length = 0
  pass(900)
  expect(of('relay')).toEqual([])
})

test('an answer from somebody else, or to another probe, is none', () => {
  const serial = probed()
  detector.ack(millis(world.now), serial, RELAYS[0], ORIGIN)
  detector.ack(millis(world.now), serial + 1, SUBJECT, ORIGIN)
  expect(of('measured')).toEqual([])
  pass(1_100)
  expect(of('unheard')).toEqual([['unheard', SUBJECT, 'silence']])
})

test('two others are asked when the time for an answer is over, and no earlier', () => {
  const serial = probed()
  pass(profile.probeTimeout - 1)
  expect(of('relay')).toEqual([])
  pass(1)
  expect(
    of('relay')
      .map(([, relay]) => relay)
      .toSorted(),
  ).toEqual([...RELAYS].toSorted())
  expect(of('relay').every(([, , id, subject]) => id === serial && subject === SUBJECT)).toBe(true)
})

describe('once others were asked', () => {
  let serial: number
  beforeEach(() => {
    serial = probed()
    pass(profile.probeTimeout)
  })

  test('one that reaches the subject clears it', () => {
    detector.relayed(serial, RELAYS[0], true)
    pass(600)
    expect(of('unheard')).toEqual([])
  })

  test('when all say that they cannot reach it either, it is unheard and this node is well', () => {
    for (const relay of RELAYS) detector.relayed(serial, relay, false)
    pass(600)
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'silence']])
    expect(awareness.score).toBe(0)
  })

  test('when one of them says nothing at all, the fault may be ours', () => {
    detector.relayed(serial, RELAYS[0], false)
    pass(600)
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'silence']])
    expect(awareness.score).toBe(1)
  })

  test('nobody clears or condemns it that was not asked, or twice', () => {
    detector.relayed(serial, nodeNumber(9), true)
    detector.relayed(serial, RELAYS[0], false)
    detector.relayed(serial, RELAYS[0], false)
    detector.relayed(serial, RELAYS[0], true)
    pass(600)
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'silence']])
    expect(awareness.score).toBe(1)
  })

  test('a late answer of the subject itself still counts', () => {
    detector.ack(millis(world.now), serial, SUBJECT, ORIGIN)
    pass(600)
    expect(of('unheard')).toEqual([])
  })

  test('any sign of life from the subject ends the doubt', () => {
    world.heardAt = world.now
    pass(600)
    expect(of('unheard')).toEqual([])
  })

  test('a process that stood still condemns nobody', () => {
    detector.forget(millis(world.now))
    pass(600)
    expect(of('unheard')).toEqual([])
  })
})

test.each([0, 1, 3, 8])('with a health score of %i everything takes so many times longer, and one time more', score => {
  for (let n = 0; n < score; n += 1) awareness.refuted()
  probed()
  const began = world.now
  pass(profile.probeTimeout * (score + 1) - 1)
  expect(of('relay')).toEqual([])
  pass(1)
  expect(of('relay')).toHaveLength(2)
  for (const [, relay, id] of of('relay')) detector.relayed(id as number, relay as NodeId, false)
  pass(2 * profile.probeTimeout * (score + 1) - (world.now - began) - 1)
  expect(of('unheard')).toEqual([])
  pass(1)
  expect(of('unheard')).toEqual([['unheard', SUBJECT, 'silence']])
})

test('with no link to the subject, others are asked at once', () => {
  world.linked = false
  pass(profile.probeInterval - 1)
  expect(of('probe')).toEqual([])
  expect(of('relay')).toHaveLength(2)
})

test('where nobody could be asked, a silent subject says nothing about ourselves', () => {
  world.relays = []
  probed()
  pass(1_000)
  expect(of('unheard')).toHaveLength(1)
  expect(awareness.score).toBe(0)
})

test('a subject that is heard anyway is measured every tenth round, and every second while little is known', () => {
  const rounds = (measurements: number, count: number): number => {
    world.measurements = measurements
    world.said.length = 0
    for (let round = 0; round < count; round += 1) {
      world.heardAt = world.now + profile.probeInterval
      pass(profile.probeInterval)
    }
    return of('probe').length
  }
  rounds(20, 10)
  expect(rounds(20, 40)).toBe(4)
  expect(rounds(0, 40)).toBe(20)
})

test('observers that were sent nothing get a beat in every round, and the others none', () => {
  world.observers = [nodeNumber(5)]
  pass(profile.probeInterval)
  expect(of('beat')).toEqual([['beat', nodeNumber(5)]])
  world.saidAt = world.now
  world.said.length = 0
  pass(Math.floor(profile.probeInterval / 2))
  expect(of('beat').length).toBeLessThanOrEqual(1)
})

test('one that is only attached measures its members once a minute, and doubts none that does not answer', () => {
  world.subjects = []
  world.attachments = [nodeNumber(5)]
  pass(180 * profile.probeInterval)
  expect(of('probe')).toHaveLength(3)
  expect(of('relay')).toEqual([])
  expect(of('unheard')).toEqual([])
  expect(awareness.score).toBe(0)
})

describe('the host of a subject', () => {
  /** Its daemon is heard, and its host has been asked once. */
  const usually = (answer: Knock): void => {
    world.heardAt = world.now + profile.probeInterval
    pass(profile.probeInterval)
    expect(of('knock')).toEqual([['knock', SUBJECT]])
    detector.knocked(millis(world.now), SUBJECT, answer)
    world.said.length = 0
  }
  /** Nothing comes from it any more, until its host has been asked again. */
  const silent = (): void => {
    while (of('knock').length === 0) {
      world.now = detector.nextAt()
      wake()
    }
  }

  test('is asked at once when its daemon is late, and no answer is worth more than silence', () => {
    usually('open')
    silent()
    expect(of('probe')).toHaveLength(1)
    expect(of('relay')).toEqual([])
    detector.knocked(millis(world.now), SUBJECT, 'none')
    pass(2 * profile.probeTimeout)
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'unreachable']])
  })

  test('is not held for unreachable before those who were asked have had their time', () => {
    usually('open')
    silent()
    const serial = of('probe')[0]![2] as number
    detector.knocked(millis(world.now), SUBJECT, 'none')
    pass(2 * profile.probeTimeout - 1)
    expect(of('unheard')).toEqual([])
    detector.relayed(serial, RELAYS[0], true)
    pass(1)
    expect(of('unheard')).toEqual([])
  })

  test('is waited for when its answer takes longer than the others', () => {
    usually('open')
    world.linked = false
    silent()
    pass(profile.probeTimeout)
    expect(of('unheard')).toEqual([])
    detector.knocked(millis(world.now), SUBJECT, 'none')
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'unreachable']])
  })

  test('says that the process is gone when it refuses', () => {
    usually('open')
    silent()
    detector.knocked(millis(world.now), SUBJECT, 'refused')
    pass(2 * profile.probeTimeout)
    expect(of('unheard')).toEqual([['unheard', SUBJECT, 'refused']])
  })

  test('that has answered since its daemon fell silent is unreachable only after two knocks in a row', () => {
    usually('open')
    // Nobody to ask, so that our own health stays out of it.
    world.relays = []
    const knockedAgain = (answer: Knock): void => {
      silent()
      detector.knocked(millis(world.now), SUBJECT, answer)
      world.said = world.said.filter(([what]) => what !== 'knock')
      pass(2 * profile.probeTimeout)
    }
    for (const answer of ['open', 'none', 'none'] as const) knockedAgain(answer)
    expect(of('unheard').map(([, , evidence]) => evidence)).toEqual(['silence', 'silence', 'unreachable'])
  })

  test('is knocked at a single time for each probe that is not answered', () => {
    usually('open')
    silent()
    detector.knocked(millis(world.now), SUBJECT, 'open')
    pass(profile.probeInterval - 1)
    expect(of('knock')).toHaveLength(1)
  })

  test('that answers leaves its daemon suspected of silence alone', () => {
    usually('open')
    silent()
    detector.knocked(millis(world.now), SUBJECT, 'open')
    pass(profile.probeInterval)
    expect(of('unheard')[0]).toEqual(['unheard', SUBJECT, 'silence'])
  })

  test.each<Knock>(['none', 'refused'])('that never answered but with %s says nothing by it', usual => {
    usually(usual)
    silent()
    detector.knocked(millis(world.now), SUBJECT, 'none')
    expect(of('unheard')).toEqual([])
  })

  test('is another one when its addresses have changed', () => {
    usually('open')
    detector.moved(SUBJECT)
    silent()
    detector.knocked(millis(world.now), SUBJECT, 'none')
    expect(of('unheard')).toEqual([])
  })
})
