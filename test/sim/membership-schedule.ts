import { local } from '../../membership/index.ts'
import { seededRandom } from '../../protocol/index.ts'
import { assemble, createWorld, type Host, type World, type WorldOptions } from './membership-world.ts'

/**
 * How long after the last fault everybody has to agree: a redial, a sync and a suspicion, one after the other; and two
 * beats until an intermittent member that stays away is away to all.
 */
const SETTLES_IN = 240_000

/**
 * One seeded schedule: a fleet assembles, things happen to it, all faults end, and then M1 has to hold; M2 and M3 are
 * watched all the way. Returns what did not hold, with the seed.
 */
export function runSchedule(options: Partial<WorldOptions> & { seed: number }, steps = 12): string[] {
  const random = seededRandom(options.seed ^ 0x5eed)
  const world = createWorld({
    nodes: 5 + random.int(12),
    profile: local(),
    loss: random.int(3) === 0 ? 0.3 : 0,
    intermittent: random.int(3),
    ...options,
  })
  const log: string[] = []
  try {
    assemble(world)
    for (let i = 0; i < steps; i++) log.push(happen(world, random))
    world.heal()
    for (const host of world.hosts) if (host.process === undefined && !host.left && random.int(3) > 0) world.start(host)
    world.until('agreed', world.agreed, SETTLES_IN)
    world.run(30_000)
    // A loss that lasts makes suspects now and then; in the end they are all alive again.
    world.until('agreed still', world.agreed, SETTLES_IN)
  } catch (error) {
    return [...world.violations, (error as Error).message, log.join(', ')]
  }
  return world.violations.length === 0
    ? []
    : [`seed ${options.seed}`, ...new Set(world.violations.slice(0, 20)), log.join(', ')]
}

function happen(world: World, random: ReturnType<typeof seededRandom>): string {
  const { hosts } = world
  const some = (filter: (host: Host) => boolean): Host | undefined => random.pick(hosts.filter(filter))
  const up = some(host => host.process !== undefined && !host.revoked)
  const down = some(host => host.process === undefined && !host.left && !host.revoked)
  const other = some(host => host !== up)
  const many = world.running().filter(host => !host.revoked).length > 3
  const wait = 100 + random.int(random.int(4) === 0 ? 60_000 : 3_000)
  const did = ((): string => {
    switch (random.int(13)) {
      case 0:
        if (up === undefined || !many) return 'nothing'
        world.crash(up)
        return `crash ${up.index}`
      case 1:
        if (up === undefined || !many) return 'nothing'
        world.powerOff(up)
        return `power off ${up.index}`
      case 2:
      case 3:
        if (down === undefined) return 'nothing'
        world.start(down)
        return `start ${down.index}`
      case 4: {
        if (up === undefined) return 'nothing'
        const length = random.int(12_000)
        world.pause(up, length)
        return `pause ${up.index} ${length}`
      }
      case 5:
        if (up === undefined || other === undefined) return 'nothing'
        world.cut(up, other)
        return `cut ${up.index} ${other.index}`
      case 6: {
        const mixed = random.shuffle(hosts)
        const at = 1 + random.int(hosts.length - 1)
        world.partition([mixed.slice(0, at), mixed.slice(at)])
        return `partition ${mixed.slice(0, at).map(host => host.index)}`
      }
      case 7:
        world.heal()
        return 'heal'
      case 8:
        if (up === undefined) return 'nothing'
        world.move(up)
        return `move ${up.index}`
      case 9:
        if (up === undefined) return 'nothing'
        world.retag(up)
        return `retag ${up.index}`
      case 10: {
        if (random.int(3) > 0) return 'nothing'
        const all = world.running()
        for (const host of all) world.crash(host)
        world.run(random.int(2_000))
        for (const host of all) world.start(host)
        return 'restart all'
      }
      case 11: {
        const gone = some(host => ['failed', 'left', 'overdue'].includes(statusAt(world, up, host)))
        if (up === undefined || gone === undefined) return 'nothing'
        const prune = random.int(2) === 0
        world.dismiss(up, gone, prune)
        return `${prune ? 'prune' : 'dismiss'} ${gone.index} at ${up.index}`
      }
      default:
        if (up === undefined || !many) return 'nothing'
        if (random.int(2) === 0) {
          world.leave(up)
          return `leave ${up.index}`
        }
        world.revoke(up)
        return `revoke ${up.index}`
    }
  })()
  world.run(wait)
  return `${did} +${wait}`
}

const statusAt = (world: World, at: Host | undefined, of: Host): string =>
  (at === undefined ? undefined : world.view(at, of)?.status) ?? 'unknown'
