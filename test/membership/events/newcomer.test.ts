import { expect, test } from 'vitest'
import {
  createEvents,
  type Delivered,
  type EventsEffect,
  type EventsMachine,
  NO_EVENTS,
} from '../../../membership/index.ts'
import { decode, EVENT, type FleetEvent, LIMITS, millis, type NodeId, seededRandom } from '../../../protocol/index.ts'
import { nodeNumber, T0, unsigned } from '../support.ts'

const [member, newcomer] = [nodeNumber(0), nodeNumber(1)]

const machineOf = (self: NodeId): EventsMachine =>
  createEvents({
    self,
    random: seededRandom(1),
    now: millis(T0),
    state: NO_EVENTS,
    kept: [],
    sign: (kind, body) => unsigned(kind, body, T0),
    open(bytes) {
      const [, clock, body] = decode(bytes, LIMITS.event) as [string, number, FleetEvent]
      return { ...unsigned(EVENT, body, clock), bytes }
    },
  })

/** The member and the newcomer, and frames that wait until they are let through. */
function pair() {
  const machines = new Map([member, newcomer].map(id => [id, machineOf(id)]))
  const onTheWay: { from: NodeId; to: NodeId; frame: Uint8Array }[] = []
  const delivered: Delivered[] = []
  let now = T0
  const perform = (self: NodeId, effect: EventsEffect): void => {
    if (effect.type === 'send') onTheWay.push({ from: self, to: effect.peer, frame: effect.frame })
    if (effect.type === 'deliver' && self === newcomer) delivered.push(effect.event)
  }
  const step = (self: NodeId, input: Parameters<EventsMachine['step']>[1]): void => {
    for (const effect of machines.get(self)!.step(millis(now), input)) perform(self, effect)
  }
  return {
    delivered,
    meet(self: NodeId, peer: NodeId): void {
      step(self, { type: 'linkUp', peer })
    },
    fire(name: string): void {
      step(member, { type: 'fire', name, payload: new Uint8Array(), coalesce: false })
    },
    /** Everything that is on the way arrives, and time passes, for so many seconds. */
    run(seconds: number): void {
      for (const end = now + seconds * 1_000; now < end; now += 100) {
        for (const { from, to, frame } of onTheWay.splice(0)) step(to, { type: 'frame', peer: from, frame })
        for (const self of machines.keys()) step(self, { type: 'wake' })
      }
    },
  }
}

const seen = (kept: readonly Delivered[]): string[] =>
  kept.map(({ statement, told }) => `${statement.body.name} ${told}`)

test('what was fired before the link to a newcomer is its history, and what was fired once the link stood is told to it', () => {
  const { meet, fire, run, delivered } = pair()
  fire('before')
  meet(member, newcomer)
  fire('after')
  meet(newcomer, member)
  run(60)
  expect(seen(delivered)).toEqual(['before false', 'after true'])
})

test('when the newcomer is slow to ask, events of that time are told to it too', () => {
  const { meet, fire, run, delivered } = pair()
  meet(member, newcomer)
  for (let n = 0; n < 20; n++) fire(`event ${n}`)
  meet(newcomer, member)
  run(60)
  expect(seen(delivered)).toEqual(Array.from({ length: 20 }, (_, n) => `event ${n} true`))
})
