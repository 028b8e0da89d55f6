// A group of hosts with the real voters, proposers, reducer and replacement machines, under a virtual clock, on a network
// that delays, loses, repeats and reorders messages and falls apart, with processes that are paused and killed, disks
// that are slow and fail, clocks that are set, operators and an intruder. One seed is one schedule.
import { seededRandom } from '../../../protocol/index.ts'
import { isOver } from '../../../rollout/index.ts'
import { EPOCH_START, V2 } from './fleet.ts'
import { hear } from './hosts.ts'
import { intrude } from './intruder.ts'
import { orders, submit, tendToEnd, writeOffs } from './operator.ts'
import type { Broken } from './planted.ts'
import { loseMajority } from './recovery.ts'
import { drawSchedule } from './schedule.ts'
import { type Tally, tallyCommitted } from './tally.ts'
import { bootAll, clearUp, fault } from './weather.ts'
import { createWorld, type World } from './world.ts'

export { type Broken, PLANTED } from './planted.ts'
export { addTally, describeTally, newTally, type Tally } from './tally.ts'

export interface Outcome {
  readonly violations: readonly string[]
  /** Virtual milliseconds. */
  readonly took: number
  readonly events: number
  readonly grants: number
  readonly finished: boolean
  /** How often each kind of fault, order and intrusion took place. */
  readonly tally: Readonly<Tally>
}

export interface Options {
  readonly voters?: number
  readonly broken?: Broken
  /** Goes on until a violation begins with this; without it, until the first. */
  readonly seek?: string
}

const FAULTS_FOR = 12_000
/** Faults over, all plans for a handful of hosts must have ended after this long at the latest. */
const PATIENCE = 240_000

export function runSchedule(seed: number, { voters, broken, seek = '' }: Options = {}): Outcome {
  const random = seededRandom(seed)
  const world = createWorld(drawSchedule(random, voters, seededRandom(-seed)), random, broken)
  const { agenda, all, watch } = world
  world.learn = value => {
    const before = watch.newest()
    watch.committed(value, world.plan, world.now)
    if (watch.newest() !== before) tallyCommitted(world, before, value)
    for (const host of all) if (random.int(2) === 0) world.at(host, world.latency(), () => hear(world, host, value))
  }

  bootAll(world)
  submit(world, V2, Number.POSITIVE_INFINITY)
  // Further plans at nearly the same moment, or much later: each may only begin when the one before is over.
  for (let more = random.int(3); more > 0; more--)
    agenda.add(world.now + random.int(16_000), () =>
      submit(world, random.int(2) === 0 ? V2 : undefined, EPOCH_START + 3 * FAULTS_FOR),
    )
  orders(world)
  writeOffs(world)
  for (let bad = random.int(4) - 1; bad > 0; bad--) agenda.add(world.now + random.int(14_000), () => intrude(world))
  agenda.add(world.now + 100 + random.int(500), () => fault(world))
  if (world.schedule.losesMajority) {
    agenda.add(world.now + random.int(8_000), () => loseMajority(world))
    // What was under way is over with it: there is something to be done afterwards.
    agenda.add(EPOCH_START + FAULTS_FOR, () => submit(world, undefined, EPOCH_START + 3 * FAULTS_FOR))
  }
  agenda.add(EPOCH_START + FAULTS_FOR, () => {
    clearUp(world)
    tendToEnd(world)
  })

  const isFound = (): boolean =>
    watch.violations.length > 0 && watch.violations.some(violation => violation.startsWith(seek))
  let events = 0
  while (!isFound() && world.now < EPOCH_START + FAULTS_FOR + PATIENCE && !hasEnded(world)) {
    const event = agenda.next()
    if (event === undefined) break
    world.now = Math.max(world.now, event.at)
    events += 1
    event.run()
    watch.look(world)
  }
  const finished = hasEnded(world)
  const { phase, permits } = watch.newest()
  if (finished) watch.atEnd(world)
  else if (watch.violations.length === 0)
    watch.violations.push(
      `I5: it has not ended ${PATIENCE / 1000} s after the last fault: ${phase}, permits ${permits.length}`,
    )
  return {
    violations: watch.violations,
    took: world.now - EPOCH_START,
    events,
    grants: watch.grants,
    finished,
    tally: world.tally,
  }
}

/** Nothing is under way, and everybody who is left is up. */
function hasEnded({ faulty, watch, all, now, schedule }: World): boolean {
  if (faulty) return false
  const { phase, permits } = watch.newest()
  const neverBegan = phase === 'idle' && schedule.notAfter !== undefined && now > EPOCH_START + schedule.notAfter
  return (
    permits.length === 0 &&
    isOver(phase) &&
    (phase !== 'idle' || neverBegan) &&
    all.every(host => host.gone || (host.alive && host.pausedUntil <= now))
  )
}
