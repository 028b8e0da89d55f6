import { local } from '../../../membership/index.ts'
import { type Random, seededRandom } from '../../../protocol/index.ts'
import { assemble, createWorld, type Host, type World, type WorldOptions } from './index.ts'

/**
 * How long after the last fault everybody has to agree: a redial, a sync and a suspicion, one after the other; and two
 * beats until an intermittent member that stays away is away to all.
 */
const SETTLES_IN = 240_000

/** From so many members on a fleet is a large one. */
const LARGE = 50

/** What schedules of a size have in common. Lengths of time in milliseconds. */
interface Plan {
  /** Shares of all frames, gossip hops and dials that are lost while things happen; one is picked. */
  readonly losses: readonly number[]
  /** One schedule in so many begins with hosts that know nobody; the others with a fleet that has long been assembled. */
  readonly assembles: number
  /** In one schedule in so many the vitals of steady members are gossiped as well. */
  readonly vitals: number
  readonly steps: number
  /** After a step: up to `brief`, and one time in `seldom` up to `long`. */
  readonly waits: { readonly brief: number; readonly seldom: number; readonly long: number }
  /** How long everybody has to agree still, once they have. */
  readonly rest: number
}
const SMALL_PLAN: Plan = {
  losses: [0, 0, 0.3],
  assembles: 1,
  vitals: 1,
  steps: 12,
  waits: { brief: 3_000, seldom: 4, long: 60_000 },
  rest: 30_000,
}
/** A step costs as the square of the members, and most of what it brings about is over in seconds. */
const LARGE_PLAN: Plan = {
  losses: [0, 0, 0, 0, 0, 0, 0, 0, 0.01, 0.05, 0.1, 0.3],
  assembles: 12,
  vitals: 4,
  steps: 6,
  waits: { brief: 2_500, seldom: 8, long: 20_000 },
  rest: 5_000,
}

/** The first numbers of generators with neighbouring seeds are alike: those are passed over. */
function generatorOf(seed: number): Random {
  const random = seededRandom(seed)
  for (let count = 0; count < 16; count++) random.int(2)
  return random
}

/**
 * How many nodes a schedule has: twice as many an eighth as often, because that is about how much more they cost. Of 50 to 200
 * half have up to 67, a fifth more than 100 and a twentieth more than 150.
 */
export function sizeBetween(least: number, most: number, seed: number): number {
  const share = generatorOf(seed).float()
  const [many, few] = [least ** -2, (most + 1) ** -2]
  return Math.floor((many - share * (many - few)) ** -0.5)
}

/**
 * One seeded schedule: a fleet assembles, things happen to it, all faults end, and then M1 has to hold; M2 and M3 are
 * watched all the way. Returns what did not hold, with the seed.
 */
export function runSchedule(options: Partial<WorldOptions> & { seed: number }): string[] {
  const random = generatorOf(options.seed ^ 0x5eed)
  const nodes = options.nodes ?? 5 + random.int(12)
  const plan = nodes < LARGE ? SMALL_PLAN : LARGE_PLAN
  const loss = random.pick(plan.losses)!
  const intermittent = random.int(3)
  const vitals = random.int(plan.vitals) > 0 ? 'synced' : 'gossiped'
  const world = createWorld({ profile: local(), loss, intermittent, vitals, ...options, nodes })
  const log: string[] = loss === 0 ? [] : [`loss ${loss}`]
  try {
    if (random.int(plan.assembles) === 0) assemble(world)
    else world.startTogether()
    for (let step = 0; step < plan.steps; step++) {
      const { brief, seldom, long } = plan.waits
      const did = happen(world, random)
      const wait = 100 + random.int(random.int(seldom) === 0 ? long : brief)
      world.run(wait)
      log.push(`${did} +${wait}`)
    }
    world.heal()
    for (const host of world.hosts) if (host.process === undefined && !host.left && random.int(3) > 0) world.start(host)
    world.until('agreed', world.agreed, SETTLES_IN)
    world.run(plan.rest)
    // A loss that lasts makes suspects now and then; when it ends they are all alive again.
    world.lose(0)
    world.until('agreed still', world.agreed, SETTLES_IN)
  } catch (error) {
    return [...world.violations, (error as Error).message, log.join(', ')]
  }
  return world.violations.length === 0
    ? []
    : [`seed ${options.seed}`, ...new Set(world.violations.slice(0, 20)), log.join(', ')]
}

/** Lets one thing happen, and says which; what there is nobody for does not happen, and something else does. */
function happen(world: World, random: Random): string {
  for (let tries = 0; tries < 20; tries++) {
    const did = attempt(world, random)
    if (did !== undefined) return did
  }
  return 'nothing'
}

function attempt(world: World, random: Random): string | undefined {
  const { hosts } = world
  const some = (filter: (host: Host) => boolean): Host | undefined => random.pick(hosts.filter(filter))
  /** One of a small fleet; of a large one now and then as many as share a rack. */
  const several = (filter: (host: Host) => boolean): Host[] =>
    random.shuffle(hosts.filter(filter)).slice(0, 1 + random.int(Math.max(1, Math.floor(hosts.length / 25))))
  const names = (of: readonly Host[]): string => of.map(host => host.index).join('+')
  const isUp = (host: Host): boolean => host.process !== undefined && !host.revoked
  const isDown = (host: Host): boolean => host.process === undefined && !host.left && !host.revoked
  const up = some(isUp)
  const other = some(host => host !== up)
  if (up === undefined || other === undefined) return undefined
  const many = world.running().filter(host => !host.revoked).length > 3
  switch (random.int(13)) {
    case 0: {
      if (!many) return undefined
      const ended = several(isUp)
      for (const host of ended) world.crash(host)
      return `crash ${names(ended)}`
    }
    case 1: {
      if (!many) return undefined
      const ended = several(isUp)
      for (const host of ended) world.powerOff(host)
      return `power off ${names(ended)}`
    }
    case 2:
    case 3: {
      const down = several(isDown)
      if (down.length === 0) return undefined
      for (const host of down) world.start(host)
      return `start ${names(down)}`
    }
    case 4: {
      const length = random.int(12_000)
      const stalled = several(isUp)
      for (const host of stalled) world.pause(host, length)
      return `pause ${names(stalled)} ${length}`
    }
    case 5:
      world.cut(up, other)
      return `cut ${up.index} ${other.index}`
    case 6: {
      const mixed = random.shuffle(hosts)
      const at = 1 + random.int(hosts.length - 1)
      world.partition([mixed.slice(0, at), mixed.slice(at)])
      return `partition ${at} of ${hosts.length}`
    }
    case 7:
      world.heal()
      return 'heal'
    case 8:
      world.move(up)
      return `move ${up.index}`
    case 9:
      world.retag(up)
      return `retag ${up.index}`
    case 10: {
      if (random.int(3) > 0) return undefined
      const all = world.running()
      for (const host of all) world.crash(host)
      world.run(random.int(2_000))
      for (const host of all) world.start(host)
      return 'restart all'
    }
    case 11: {
      const gone = some(host => ['failed', 'left', 'overdue'].includes(world.view(up, host)?.status ?? ''))
      if (gone === undefined) return undefined
      const prune = random.int(2) === 0
      world.dismiss(up, gone, prune)
      return `${prune ? 'prune' : 'dismiss'} ${gone.index} at ${up.index}`
    }
    default:
      if (!many) return undefined
      if (random.int(2) === 0) {
        world.leave(up)
        return `leave ${up.index}`
      }
      world.revoke(up)
      return `revoke ${up.index}`
  }
}
