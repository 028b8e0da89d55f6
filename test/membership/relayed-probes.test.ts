import { expect, test } from 'vitest'
import { ORIGIN } from '../../membership/coordinates.ts'
import { decodeFrame, decodeGossip, encodeFrame, type Frame } from '../../membership/frames.ts'
import type { MembershipEffect } from '../../membership/index.ts'
import { type Coordinate, decode, LIMITS, packCoordinate, unpackCoordinate, type Vitals } from '../../protocol/index.ts'
import { type Bench, bench, nodeNumber, record, vitals } from './support.ts'

// What one machine says on its links when probes are asked of it, and what it learns from the answers.

const [PEER, SUBJECT] = [nodeNumber(1), nodeNumber(2)]
/** Numbers that a single holds exactly. */
const place: Coordinate = { vector: [0.0078125, 0, 0, 0, 0, 0, 0, 0], error: 0.25, adjustment: 0, height: 0.0078125 }

const known = (...links: (typeof PEER)[]): Bench => {
  const one = bench()
  for (const node of [PEER, SUBJECT]) one.hear({ kind: 'record', statement: record(node) })
  for (const peer of links) one.give({ type: 'linkUp', peer })
  return one
}
const frames = (effects: readonly MembershipEffect[], peer: typeof PEER): Frame[] =>
  effects.flatMap(effect => (effect.type === 'send' && effect.peer === peer ? [decodeFrame(effect.frame)] : []))
const hear = (one: Bench, peer: typeof PEER, frame: Frame): MembershipEffect[] =>
  one.give({ type: 'frame', peer, frame: encodeFrame(frame) })

test('a probe is answered at once, with where this node stands', () => {
  const one = known(PEER)
  const [answer] = frames(hear(one, PEER, { type: 'probe', serial: 9 }), PEER)
  expect(answer).toMatchObject({ type: 'ack', serial: 9, coordinate: { error: 1.5 } })
})

test('a relayed probe reaches its subject, and its answer goes back under the serial of whoever asked', () => {
  const one = known(PEER, SUBJECT)
  const [probe] = frames(hear(one, PEER, { type: 'relay', serial: 5, subject: SUBJECT }), SUBJECT)
  expect(probe).toMatchObject({ type: 'probe' })
  const { serial } = probe as { serial: number }
  const effects = hear(one, SUBJECT, { type: 'ack', serial, coordinate: ORIGIN })
  expect(frames(effects, PEER)).toContainEqual({ type: 'relayed', serial: 5, alive: true })
})

test('a subject that this node has no link to, or that does not answer, is told as not reached', () => {
  const unlinked = known(PEER)
  expect(frames(hear(unlinked, PEER, { type: 'relay', serial: 5, subject: SUBJECT }), PEER)).toContainEqual({
    type: 'relayed',
    serial: 5,
    alive: false,
  })
  const silent = known(PEER, SUBJECT)
  hear(silent, PEER, { type: 'relay', serial: 6, subject: SUBJECT })
  expect(frames(silent.pass(450), PEER)).toContainEqual({ type: 'relayed', serial: 6, alive: false })
})

test('an answer gives a round trip and a place, at both ends', () => {
  const one = known(PEER)
  expect(one.machine.member(PEER)).toMatchObject({ rttMs: null, coordinate: null })
  let serial: number | undefined
  for (let waited = 0; serial === undefined && waited < 3_000; waited += 10) {
    const probe = frames(one.pass(10), PEER).find(frame => frame.type === 'probe')
    if (probe?.type === 'probe') serial = probe.serial
  }
  one.now += 20
  hear(one, PEER, { type: 'ack', serial: serial!, coordinate: place })
  expect(one.machine.member(PEER)!.rttMs).toBeGreaterThanOrEqual(20)
  expect(one.machine.member(PEER)!.coordinate).toEqual(place)
  expect(one.machine.member(one.self)!.coordinate!.error).toBeLessThan(1.5)
})

test('a place that a member says in its vitals is known to those who never measured it, and one that it left out is kept', () => {
  const one = known()
  one.hear({ kind: 'vitals', statement: vitals(SUBJECT, { coordinate: packCoordinate(place) }) })
  expect(one.machine.member(SUBJECT)!.coordinate).toEqual(place)
  one.hear({ kind: 'vitals', statement: vitals(SUBJECT, { seq: 2 }) })
  expect(one.machine.member(SUBJECT)!.coordinate).toEqual(place)
})

test('an answer with a coordinate out of range costs its sender the link', () => {
  const one = known(PEER)
  const frame = encodeFrame({ type: 'ack', serial: 1, coordinate: { ...place, height: 11 } })
  expect(one.give({ type: 'frame', peer: PEER, frame }).map(({ type }) => type)).toContain('misbehaved')
})

test('some seconds after the first measurement the whole fleet is told where this node stands, and then there is quiet', () => {
  const one = known(PEER)
  const said: number[] = []
  for (let tick = 0; tick < 60_000; tick += 10) {
    const effects = one.pass(10)
    for (const frame of frames(effects, PEER))
      if (frame.type === 'probe') {
        one.now += 4
        effects.push(...hear(one, PEER, { type: 'ack', serial: frame.serial, coordinate: place }))
      }
    // A beat, so that the peer is never doubted.
    if (tick % 500 === 0) effects.push(...hear(one, PEER, { type: 'beat' }))
    for (const effect of effects) {
      if (effect.type !== 'publish') continue
      const [kind, bytes] = decodeGossip(effect.message)
      if (kind !== 'vitals') continue
      const [, , body] = decode(bytes, LIMITS.vitals) as [string, number, Vitals]
      expect(unpackCoordinate(body.coordinate!)).toBeDefined()
      said.push(tick)
    }
  }
  expect(said.length).toBeGreaterThanOrEqual(1)
  expect(said.length).toBeLessThanOrEqual(4)
  expect(said[0]).toBeGreaterThanOrEqual(5_000)
})
