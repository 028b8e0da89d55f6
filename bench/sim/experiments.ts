import type { MemberEvent } from '../../membership/index.ts'
import { seededRandom } from '../../protocol/index.ts'
import { createWorld, type Host, type World } from '../../test/sim/membership/index.ts'

// Each experiment is a fleet of its own under the virtual clock, profile lan, with the latencies of the simulator (1 to 4 ms a hop).
// Vitals are not said: they say how a host is and nothing of whether it is there, and ten thousand of them that everybody hears are a
// hundred million deliveries. What one statement to everybody costs is measured by itself (`load`).

export interface Measured {
  readonly what: string
  readonly value: number
  readonly unit: string
}
export type Experiment = (nodes: number) => Measured[]

const SEED = 7
/** The host that gets another tag. */
const CHANGED = 1
/** Long enough for the rounds of all nodes to be out of step and for the first probes to be over. Milliseconds. */
const WARM = 3_000

interface Fleet {
  readonly world: World
  /** Times at which somebody came to hold a member for failed that was up, by whether the two were healthy. */
  readonly wrong: { both: number; faulty: number }
  readonly wronged: Set<Host>
  /** When the last of those that were marked as gone was failed at somebody, and how often. */
  readonly right: { count: number; first: number; last: number }
  readonly faulty: Set<Host>
  readonly gone: Set<Host>
  /** At how many the record of CHANGED has been told to have changed, and when the last was. */
  readonly updates: { count: number; last: number }
}

function fleet(nodes: number, loss = 0, together = true): Fleet {
  const wrong = { both: 0, faulty: 0 }
  const right = { count: 0, first: Number.POSITIVE_INFINITY, last: 0 }
  const updates = { count: 0, last: 0 }
  const [wronged, faulty, gone] = [new Set<Host>(), new Set<Host>(), new Set<Host>()]
  const onEvent = (host: Host, of: Host, event: MemberEvent): void => {
    if (event === 'update' && of === world.hosts[CHANGED]) {
      updates.count += 1
      updates.last = world.now
    }
    if (event !== 'failed') return
    if (gone.has(of)) {
      right.count += 1
      right.first = Math.min(right.first, world.now)
      right.last = world.now
    } else if (faulty.has(of) || faulty.has(host)) wrong.faulty += 1
    else {
      wrong.both += 1
      wronged.add(of)
    }
  }
  const world = createWorld({ seed: SEED, nodes, loss, vitals: 'never', onEvent })
  if (together) {
    world.startTogether()
    world.run(WARM)
  }
  return { world, wrong, wronged, right, faulty, gone, updates }
}

const some = (world: World, count: number): Host[] =>
  seededRandom(SEED).shuffle(world.hosts.slice(1)).slice(0, Math.max(1, count))
const seconds = (milliseconds: number): number => milliseconds / 1_000

const load: Experiment = nodes => {
  const { world, updates } = fleet(nodes)
  const length = 20
  const quiet = { ...world.sent }
  world.run(length * 1_000)
  const frames = { count: world.sent.frames - quiet.frames, bytes: world.sent.bytes - quiet.bytes }
  const before = { ...world.sent }
  const began = world.now
  updates.count = 0
  world.retag(world.hosts[CHANGED]!)
  world.until('told', () => updates.count === nodes - 1, 60_000)
  return [
    { what: 'frames sent, quiet', value: frames.count / length / nodes, unit: '/s/node' },
    { what: 'bytes sent, quiet', value: frames.bytes / length / nodes, unit: 'B/s/node' },
    { what: 'one tag changed, known at all', value: updates.last - began, unit: 'ms' },
    { what: 'copies sent for it', value: (world.sent.gossip - before.gossip) / nodes, unit: '/node' },
    { what: 'bytes sent for it', value: (world.sent.gossipBytes - before.gossipBytes) / nodes, unit: 'B/node' },
  ]
}

/** Those end, and everybody else is asked until all hold all of them for failed. */
function end(fleetOf: Fleet, victims: readonly Host[], how: 'crash' | 'powerOff', within: number): number[] {
  const { world, right, gone } = fleetOf
  const began = world.now
  for (const victim of victims) gone.add(victim)
  right.count = 0
  right.first = Number.POSITIVE_INFINITY
  for (const victim of victims) world[how](victim)
  const wanted = victims.length * world.running().length
  world.until('failed at all', () => right.count >= wanted, within)
  return [seconds(right.first - began), seconds(right.last - began)]
}

const crashOne: Experiment = nodes => {
  const it = fleet(nodes)
  const [first, second] = some(it.world, 2) as [Host, Host]
  const [firstAt, lastAt] = end(it, [first], 'crash', 60_000) as [number, number]
  it.world.run(2_000)
  const [silentFirst, silentLast] = end(it, [second], 'powerOff', 180_000) as [number, number]
  return [
    { what: 'one killed, failed at the first', value: firstAt, unit: 's' },
    { what: 'one killed, failed at all', value: lastAt, unit: 's' },
    { what: 'one silent, failed at the first', value: silentFirst, unit: 's' },
    { what: 'one silent, failed at all', value: silentLast, unit: 's' },
    { what: 'healthy members failed meanwhile', value: it.wronged.size, unit: 'members' },
  ]
}

const crashed =
  (share: number, named: string): Experiment =>
  nodes => {
    const it = fleet(nodes)
    const before = { ...it.world.sent }
    const victims = some(it.world, nodes * share)
    const [firstAt, lastAt] = end(it, victims, 'crash', 120_000) as [number, number]
    const { bytes, gossipBytes } = it.world.sent
    return [
      { what: `${named} killed, failed at the first`, value: firstAt, unit: 's' },
      { what: `${named} killed, all failed at all`, value: lastAt, unit: 's' },
      {
        what: 'bytes sent by each meanwhile',
        value: (bytes + gossipBytes - before.bytes - before.gossipBytes) / (nodes - victims.length),
        unit: 'B/node',
      },
      { what: 'healthy members failed meanwhile', value: it.wronged.size, unit: 'members' },
    ]
  }

const LOSS_LASTS = 60
const lossy =
  (share: number): Experiment =>
  nodes => {
    const it = fleet(nodes, share)
    const before = { ...it.world.sent }
    it.world.run(LOSS_LASTS * 1_000)
    const { bytes, gossipBytes } = it.world.sent
    const percent = `${share * 100} % of all lost`
    return [
      {
        what: `${percent}, healthy members failed at somebody`,
        value: it.wronged.size,
        unit: `members in ${LOSS_LASTS} s`,
      },
      { what: `${percent}, false failures`, value: it.wrong.both, unit: `pairs in ${LOSS_LASTS} s` },
      {
        what: `${percent}, bytes sent`,
        value: (bytes + gossipBytes - before.bytes - before.gossipBytes) / LOSS_LASTS / nodes,
        unit: 'B/s/node',
      },
    ]
  }

/** Of the pairs of a healthy node and a faulty one, those in which it is failed now. */
function heldFailed({ world, faulty }: Fleet): number {
  let count = 0
  let pairs = 0
  for (const host of world.hosts) {
    if (faulty.has(host)) continue
    for (const other of faulty) if (host.process?.failed.has(other)) count += 1
    pairs += faulty.size
  }
  return (100 * count) / pairs
}

const CYCLES = 3
const deafTwenty: Experiment = nodes => {
  const it = fleet(nodes)
  for (const host of some(it.world, nodes / 100)) it.faulty.add(host)
  const held: number[] = []
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    for (const deaf of [true, false]) {
      for (const host of it.faulty) it.world.deafen(host, deaf)
      it.world.run(20_000)
      held.push(heldFailed(it))
    }
  }
  return [
    { what: '1 % deaf 20 s on and off: failed, after 20 s on', value: held[0]!, unit: '% of pairs' },
    { what: '1 % deaf 20 s on and off: failed, after 20 s off', value: held[1]!, unit: '% of pairs' },
    { what: `the same after ${CYCLES} cycles, on`, value: held.at(-2)!, unit: '% of pairs' },
    { what: '1 % deaf on and off: healthy failed at healthy', value: it.wronged.size, unit: 'members' },
  ]
}

const lossOnOne: Experiment = nodes => {
  const it = fleet(nodes)
  for (const host of some(it.world, nodes / 100)) {
    host.loss.in = 0.8
    host.loss.out = 0.8
    it.faulty.add(host)
  }
  it.world.run(60_000)
  return [
    { what: '80 % loss at 1 %: failed after 60 s', value: heldFailed(it), unit: '% of pairs' },
    { what: '80 % loss at 1 %: healthy failed at healthy', value: it.wronged.size, unit: 'members' },
  ]
}

const stalls: Experiment = nodes => {
  const it = fleet(nodes)
  const { world } = it
  const random = seededRandom(SEED)
  for (const host of some(world, nodes / 20)) {
    it.faulty.add(host)
    world.pause(host, 5_000 + random.int(25_000))
  }
  world.run(45_000)
  return [
    { what: '5 % stalled 5 to 30 s: healthy failed at healthy', value: it.wronged.size, unit: 'members' },
    { what: 'false failures, both healthy', value: it.wrong.both, unit: 'pairs' },
    { what: 'stalled failed at somebody, or by a stalled one', value: it.wrong.faulty, unit: 'pairs' },
    { what: 'stalled still failed after 45 s', value: heldFailed(it), unit: '% of pairs' },
  ]
}

const partition: Experiment = nodes => {
  const { world } = fleet(nodes)
  const half = nodes / 2
  const sides = [world.hosts.slice(0, half), world.hosts.slice(half)] as const
  const held = (count: number): boolean => world.hosts.every(host => host.process!.failed.size === count)
  world.partition(sides)
  const split = world.until('split', () => held(half), 300_000)
  world.run(10_000)
  world.heal()
  const healed = world.until('healed', () => held(0), 300_000)
  return [
    { what: 'halves apart: the other half failed at all', value: seconds(split), unit: 's' },
    { what: 'halves together again: all alive at all', value: seconds(healed), unit: 's' },
  ]
}

const join: Experiment = nodes => {
  const { world } = fleet(nodes, 0, false)
  for (const host of world.hosts) {
    world.start(host)
    world.run(1)
  }
  const joined = world.until('joined', world.agreed, 300_000)
  const { bytes, gossipBytes } = world.sent
  return [
    { what: 'started 1 ms apart, all at all after the last start', value: seconds(joined), unit: 's' },
    { what: 'bytes sent by each meanwhile', value: (bytes + gossipBytes) / nodes, unit: 'B/node' },
  ]
}

/** `about` says what the figures mean; `most` is the largest fleet that it is run with unless asked for by name, where more does not fit ten minutes or 8 GiB. */
export const EXPERIMENTS: Readonly<Record<string, { run: Experiment; about: string; most?: number }>> = {
  load: {
    run: load,
    about:
      'Load: frames that a node sends while nothing happens, over 20 s; copies of gossip for one statement to everybody',
  },
  'crash-one': {
    run: crashOne,
    about:
      'One node ends: killed, its host resets connections; silent, its host is gone. Until everybody derives failed',
  },
  'crash-1': { run: crashed(0.01, '1 %'), about: 'One node in a hundred is killed in one moment' },
  'crash-10': { run: crashed(0.1, '10 %'), about: 'One in ten is killed in one moment', most: 1_000 },
  'loss-1': { run: lossy(0.01), about: 'One frame, copy of gossip and dial in a hundred is lost, everywhere' },
  'loss-10': {
    run: lossy(0.1),
    about: 'Every tenth frame, copy of gossip and dial is lost, everywhere; pairs are (who holds, whom)',
    most: 1_000,
  },
  'loss-20': { run: lossy(0.2), about: 'Every fifth is lost', most: 1_000 },
  'loss-30': { run: lossy(0.3), about: 'Three in ten are lost', most: 1_000 },
  'deaf-1': {
    run: deafTwenty,
    about:
      'Rapid, first: nothing gets through to one node in a hundred for 20 s, then all does for 20 s, again and again',
  },
  'lossy-1': { run: lossOnOne, about: 'Rapid, second: four of five frames to and from one node in a hundred are lost' },
  stalls: {
    run: stalls,
    about: 'Lifeguard, figure 1: one process in twenty stands still for 5 to 30 s; pairs are (who holds, whom)',
  },
  partition: {
    run: partition,
    about:
      'Two halves hear nothing of each other until each holds the other for failed, and 10 s more; then all is well again',
    most: 1_000,
  },
  join: { run: join, about: 'All start within a millisecond of each other, and join the first', most: 1_000 },
}
