import { expect, test } from 'vitest'
import { lan } from '../../membership/index.ts'
import { assemble, createWorld, type Fault, type Host, type World, type WorldOptions } from './membership/index.ts'
import { runSchedule } from './membership/schedule.ts'

// A slice of what `npm run sim:membership -- --schedules 1000` runs in full, and the situations that operators know by name.

test('no schedule of crashes, pauses, partitions, moves and restarts breaks M1, M2 or M3', () => {
  for (let seed = 1; seed <= 50; seed++) expect(runSchedule({ seed })).toEqual([])
}, 120_000)

// Each check of the harness is seen to notice a daemon that is broken on purpose.
test.each<[Fault, RegExp]>([
  ['epoch-not-persisted', /^M2: /],
  ['forgets-the-dead', /^M2: /],
  ['never-refutes', /^M2: /],
  ['ignores-revocations', /^M3: /],
])('with %s something is reported', (fault, expected) => {
  // Of the seeds that the test above finds nothing at.
  expect(runSchedule({ seed: 1, fault }).some(sentence => expected.test(sentence))).toBe(true)
})

test.each([10, 60])(
  'with %i members that ignore dismissals there is no one view, and that is reported as M1',
  nodes => {
    const world = fleet(nodes, { fault: 'ignores-dismissals', vitals: 'never' })
    const [victim] = world.hosts.slice(5) as [Host]
    world.crash(victim)
    world.until('failed', everywhere(world, victim, 'failed'), 60_000)
    world.dismiss(world.hosts[2]!, victim, false)
    expect(() => agree(world)).toThrow(/seed 1: not of one view after/)
  },
)

test.each([10, 60])(
  'with %i members that believe forgeries one that was pruned comes back, and that is reported as M3',
  nodes => {
    const world = fleet(nodes, { fault: 'believes-forgeries', vitals: 'never' })
    const [victim] = world.hosts.slice(5) as [Host]
    world.crash(victim)
    world.until('failed', everywhere(world, victim, 'failed'), 60_000)
    world.dismiss(world.hosts[2]!, victim, true)
    world.run(30_000)
    expect(world.violations.some(sentence => sentence.startsWith('M3: '))).toBe(true)
  },
)

test('with a fleet that forgets the dead a healed partition stays apart, and that is reported as M1', () => {
  const world = fleet(10, { fault: 'forgets-the-dead' })
  split(world)
  world.heal()
  expect(() => agree(world)).toThrow(/seed 1: not of one view after/)
})

const fleet = (
  nodes: number,
  rest: Pick<Partial<WorldOptions>, 'fault' | 'intermittent' | 'seed' | 'loss' | 'vitals'> = {},
): World => {
  const world = createWorld({ seed: 1, nodes, profile: lan(), ...rest })
  assemble(world)
  return world
}
const agree = (world: World): number => world.until('of one view', world.agreed, 3 * lan().redialLast)
const statuses = (world: World, of: Host): (string | undefined)[] =>
  world
    .running()
    .filter(host => host !== of)
    .map(host => world.view(host, of)?.status)
const everywhere = (world: World, of: Host, status: string | undefined) => (): boolean =>
  statuses(world, of).every(seen => seen === status)
/** Half and half, until each half holds the other for failed. */
const split = (world: World): void => {
  const half = world.hosts.length / 2
  const sides = [world.hosts.slice(0, half), world.hosts.slice(half)] as const
  const gone = (from: readonly Host[], of: readonly Host[]): boolean =>
    from.every(host => of.every(other => world.view(host, other)?.status === 'failed'))
  world.partition(sides)
  world.until('split', () => gone(sides[0], sides[1]) && gone(sides[1], sides[0]), 300_000)
}

test('a killed process is failed at everybody, and at nobody once it is back', () => {
  const world = fleet(20)
  const [victim] = world.hosts.slice(7) as [Host]
  world.crash(victim)
  expect(world.until('failed', everywhere(world, victim, 'failed'), 60_000)).toBeLessThan(3_000)
  world.start(victim)
  agree(world)
  expect(world.violations).toEqual([])
})

test.each([3, 5, 20])('a host whose power is cut is failed at everybody within seconds, in a fleet of %i', nodes => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = fleet(nodes, { seed })
    // Its observers have to have seen its host answer.
    world.run(5_000)
    const [victim] = world.hosts.slice(1 + (seed % (nodes - 1))) as [Host]
    world.powerOff(victim)
    expect(world.until('failed', everywhere(world, victim, 'failed'), 60_000)).toBeLessThan(3_000)
    expect(world.violations).toEqual([])
  }
})

test('a process that stands still for ten seconds on a host that answers is failed at nobody', () => {
  const world = fleet(20)
  const [sleeper] = world.hosts.slice(7) as [Host]
  world.run(5_000)
  world.pause(sleeper, 10_000)
  for (let tenths = 0; tenths < 150; tenths++) {
    world.run(100)
    expect(statuses(world, sleeper)).not.toContain('failed')
  }
  agree(world)
})

test('with a fifth of all packets lost nobody is failed at anybody in ten minutes', () => {
  const world = fleet(20, { loss: 0.2 })
  for (let seconds = 0; seconds < 600; seconds++) {
    world.run(1_000)
    for (const host of world.hosts) expect(statuses(world, host)).not.toContain('failed')
  }
}, 60_000)

test('a process that stands still for seconds is failed at nobody in the end, and takes nobody for failed itself', () => {
  const world = fleet(20)
  const [sleeper] = world.hosts.slice(7) as [Host]
  world.pause(sleeper, 4_000)
  world.run(4_000)
  agree(world)
  expect(world.hosts.map(host => world.view(sleeper, host)?.status)).toEqual(world.hosts.map(() => 'alive'))
  expect(world.violations).toEqual([])
})

test('a partition that has lasted for hours heals by itself', () => {
  const world = fleet(10)
  split(world)
  world.run(3 * 3_600_000)
  world.heal()
  agree(world)
  expect(world.violations).toEqual([])
}, 60_000)

test('a restart of everything at once ends in one view', () => {
  const world = fleet(20)
  for (const host of world.hosts) world.crash(host)
  world.run(5_000)
  for (const host of world.hosts) world.start(host)
  agree(world)
  expect(world.violations).toEqual([])
})

test('one that is restarted while every peer is down finds them when they come back', () => {
  const world = fleet(8)
  for (const host of world.hosts) world.crash(host)
  world.start(world.hosts[3]!)
  world.run(120_000)
  for (const host of world.hosts) if (host !== world.hosts[3]) world.start(host)
  agree(world)
  expect(world.violations).toEqual([])
})

test('a host that comes back with a new address is found there', () => {
  const world = fleet(12)
  const [mover] = world.hosts.slice(5) as [Host]
  world.crash(mover)
  world.until('failed', everywhere(world, mover, 'failed'), 60_000)
  world.move(mover)
  world.start(mover)
  agree(world)
  expect(world.running().map(host => world.view(host, mover)?.addresses)).toEqual(
    world.running().map(() => [mover.address]),
  )
  expect(world.violations).toEqual([])
})

test('who left is left, to those too who were away meanwhile', () => {
  const world = fleet(10)
  const [leaver, absent] = world.hosts.slice(4) as [Host, Host]
  world.crash(absent)
  world.run(10_000)
  world.leave(leaver)
  world.until('left', everywhere(world, leaver, 'left'), 60_000)
  world.start(absent)
  agree(world)
  expect(world.view(absent, leaver)?.status).toBe('left')
  expect(world.violations).toEqual([])
})

test('who was revoked stays out, though somebody comes back who knew it as a member', () => {
  const world = fleet(10)
  const [outcast, absent] = world.hosts.slice(4) as [Host, Host]
  world.crash(absent)
  world.run(10_000)
  world.revoke(outcast)
  world.until(
    'unknown',
    () => world.running().every(host => host === outcast || world.view(host, outcast) === undefined),
    60_000,
  )
  world.start(absent)
  world.run(120_000)
  for (const host of world.running()) if (host !== outcast) expect(world.view(host, outcast)).toBeUndefined()
  expect(world.violations).toEqual([])
})

test.each([false, true])(
  'one that was killed and dismissed is left at everybody, and alive again once it is back (prune: %s)',
  prune => {
    const world = fleet(12)
    const [victim, absent] = world.hosts.slice(5) as [Host, Host]
    world.crash(victim)
    world.until('failed', everywhere(world, victim, 'failed'), 60_000)
    world.crash(absent)
    world.dismiss(world.hosts[2]!, victim, prune)
    world.until('dismissed', everywhere(world, victim, prune ? undefined : 'left'), 10_000)
    // Somebody who knew it as a member, and was not there, learns it.
    world.start(absent)
    agree(world)
    expect(statuses(world, victim)).toEqual(world.running().map(() => (prune ? undefined : 'left')))
    world.start(victim)
    agree(world)
    expect(world.view(absent, victim)?.status).toBe('alive')
    expect(world.violations).toEqual([])
  },
)

test('a dismissal of one that lives takes nobody out, and one of a later failure has to be said anew', () => {
  const world = fleet(10)
  const [liar, subject] = world.hosts.slice(4) as [Host, Host]
  for (let i = 0; i < 30; i++) {
    world.slander(liar, subject)
    world.run(100)
    expect(everywhere(world, subject, 'alive')()).toBe(true)
  }
  world.run(60_000)
  expect(everywhere(world, subject, 'alive')()).toBe(true)
  world.crash(subject)
  world.until('failed', everywhere(world, subject, 'failed'), 60_000)
  agree(world)
  expect(world.violations).toEqual([])
})

test('two halves that gave each other up find together again when they can', () => {
  const world = fleet(10)
  split(world)
  for (const [by, others] of [
    [world.hosts[0]!, world.hosts.slice(5)],
    [world.hosts[7]!, world.hosts.slice(0, 5)],
  ] as const)
    for (const other of others) world.dismiss(by, other, false)
  world.run(3_600_000)
  expect(world.view(world.hosts[1]!, world.hosts[6]!)?.status).toBe('left')
  world.heal()
  agree(world)
  expect(world.violations).toEqual([])
}, 60_000)

test('an intermittent member is away and never failed, and alive again when it returns', () => {
  const world = fleet(10, { intermittent: 2 })
  const device = world.hosts.at(-1)!
  world.powerOff(device)
  for (let minutes = 0; minutes < 10; minutes++) {
    world.run(60_000)
    expect(statuses(world, device)).not.toContain('failed')
  }
  expect(everywhere(world, device, 'away')()).toBe(true)
  world.start(device)
  agree(world)
  expect(world.violations).toEqual([])
})
