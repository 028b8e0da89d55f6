import { boot, kill } from './hosts.ts'
import { pauseFor, type World } from './world.ts'

const MAX_SKEW = 10_000

/** Faults, one after another for as long as there are any. */
export function fault(world: World): void {
  if (!world.faulty) return
  const { random, all, schedule, now, tally } = world
  const host = all[random.int(all.length)]!
  switch (random.int(8)) {
    case 0:
    case 1:
      if (host.alive) {
        tally.crash += 1
        kill(world, host)
      }
      break
    case 2:
      tally.partition += 1
      world.oneWay = undefined
      world.sides = new Map(all.map(other => [other.node, random.int(2)]))
      world.agenda.add(now + random.int(2_000), () => {
        world.sides = new Map()
      })
      break
    case 3:
      pauseFor(world, host, random.int(3_000), 'pause')
      break
    case 4:
      // Long enough for a re-read to grow stale, and for an operator to write the host off.
      if (random.int(3) === 0) pauseFor(world, host, 6_000 + random.int(14_000), 'long-pause')
      break
    case 5:
      if (schedule.clocksJump) {
        tally['clock-set'] += 1
        host.skew = random.int(2 * MAX_SKEW) - MAX_SKEW
      }
      break
    case 6:
      if (schedule.losesOne && all.every(other => !other.gone)) {
        tally.lost += 1
        if (world.watch.newest().voters.includes(host.node)) tally['lost-voter'] += 1
        host.gone = true
        host.alive = false
        host.life += 1
        host.absentSince = now
      }
      break
    default: {
      // One host hears nobody, or is heard by nobody, or both.
      const cut = (['isolated', 'mute', 'deafened'] as const)[random.int(3)]!
      tally[cut] += 1
      world.sides = new Map(cut === 'isolated' ? [[host.node, 1]] : [])
      world.oneWay = cut === 'isolated' ? undefined : { node: host.node, is: cut }
      break
    }
  }
  world.agenda.add(now + 50 + random.int(700), () => fault(world))
}

/** The last fault is over: whoever is down for a disk's sake is restarted by its service manager, and clocks are right again. */
export function clearUp(world: World): void {
  world.faulty = false
  world.sides = new Map()
  world.oneWay = undefined
  const paused = Math.max(...world.all.map(host => host.pausedUntil))
  world.calmSince = Math.max(world.now, paused)
  for (const host of world.all) {
    host.skew = 0
    if (host.alive && host.silent) kill(world, host)
  }
}

export function bootAll(world: World): void {
  for (const host of world.all) boot(world, host)
}
