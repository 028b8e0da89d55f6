import { expect, test } from 'vitest'
import { createWorld, image, planFor } from './world.ts'

const v1 = image('v1')
const v2 = image('v2')
const QUIET = { noQuorum: 0, crash: 0, flipFails: 0 }
const ROUGH = { noQuorum: 0.2, crash: 0.03, flipFails: 0.05 }

test('a fleet is replaced at most K at a time and ends done', () => {
  const world = createWorld(7, 1, { healthy: () => true, faults: QUIET, initial: v1 })
  world.submit(planFor(world, { image: v2, maxUnavailable: 2 }))
  expect(world.run(() => world.value.phase === 'done', 600)).toBe(true)
  expect(world.hosts.map(host => host.current)).toEqual(world.hosts.map(() => v2))
  expect(world.maxDisrupted).toBe(2)
  expect(world.violations).toEqual([])
})

test('a bad canary is flipped back under its own permit and nobody else is touched', () => {
  const world = createWorld(6, 2, { healthy: digest => digest !== v2, faults: QUIET, initial: v1 })
  world.submit(planFor(world, { image: v2, strategy: 'canary', canary: 1 }))
  expect(world.run(() => world.value.phase === 'rolled-back', 600)).toBe(true)
  expect(world.hosts.map(host => host.current)).toEqual(world.hosts.map(() => v1))
  expect(world.maxDisrupted).toBe(1)
  expect(world.value.denied).toContain(v2)
  expect(world.violations).toEqual([])
})

test('an image that is bad on one late host takes all the others back', () => {
  const world = createWorld(6, 3, {
    healthy: (digest, host) => digest !== v2 || host !== 5,
    faults: QUIET,
    initial: v1,
  })
  world.submit(planFor(world, { image: v2, maxUnavailable: 1 }))
  expect(world.run(() => world.value.phase === 'rolled-back', 900)).toBe(true)
  expect(world.hosts.map(host => host.current)).toEqual(world.hosts.map(() => v1))
  expect(world.violations).toEqual([])
})

test('a daemon killed while it holds a permit goes on under the same one', () => {
  const world = createWorld(3, 4, { healthy: () => true, faults: QUIET, initial: v1 })
  world.submit(planFor(world, { image: v2, maxUnavailable: 1 }))
  expect(world.run(() => world.hosts.some(host => host.machine.view().stage === 'flipping'), 600)).toBe(true)
  const host = world.hosts.find(candidate => candidate.machine.view().stage === 'flipping')!
  const token = host.machine.view().token
  world.setFaults({ ...QUIET, crash: 1 })
  expect(world.run(() => !host.alive || host.life > 0, 600)).toBe(true)
  world.setFaults(QUIET)
  expect(world.value.permits.map(permit => permit.token)).toContain(token)
  expect(world.run(() => world.value.phase === 'done', 600)).toBe(true)
  expect(world.violations).toEqual([])
})

test('two hundred rough schedules, with crashes at every step, never have more than K disrupted and always end', () => {
  for (let seed = 0; seed < 200; seed++) {
    const bad = seed % 3 === 0
    const world = createWorld(5, 1000 + seed, { healthy: digest => !bad || digest !== v2, faults: ROUGH, initial: v1 })
    world.submit(planFor(world, { image: v2, maxUnavailable: 1 + (seed % 2), maxFailed: 1 }))
    world.run(() => world.value.phase === 'done' || world.value.phase === 'rolled-back', 300)
    world.setFaults(QUIET)
    const over = (): boolean => world.value.phase === 'done' || world.value.phase === 'rolled-back'
    expect(
      world.run(() => over() && world.value.permits.length === 0, 3_600),
      `seed ${seed}: ${world.value.phase} ${world.hosts.map(host => host.machine.view().stage)}`,
    ).toBe(true)
    expect(world.violations, `seed ${seed}`).toEqual([])
    if (bad) expect(world.value.phase, `seed ${seed}`).toBe('rolled-back')
  }
})

test('the checker sees a host that goes down without a permit', () => {
  const world = createWorld(3, 5, { healthy: () => true, faults: QUIET, initial: v1 })
  world.submit(planFor(world, { image: v2, maxUnavailable: 1 }))
  world.run(() => false, 1)
  for (const host of world.hosts) host.disrupted = true
  world.run(() => false, 5)
  expect(world.violations.some(violation => violation.startsWith('I1'))).toBe(true)
  expect(world.violations.some(violation => violation.startsWith('I2'))).toBe(true)
})

const drift = { reason: 'drift: index.html (content)', due: true }
const settled = (seed: number, faults = QUIET) => {
  const world = createWorld(5, seed, { healthy: () => true, faults: QUIET, initial: v1 })
  world.submit(planFor(world, { image: v2, maxUnavailable: 1 }))
  expect(world.run(() => world.value.phase === 'done' && world.value.permits.length === 0, 900)).toBe(true)
  world.setFaults(faults)
  return world
}

test('marked nodes put their own image in place afresh when no generation is under way, at most K at a time', () => {
  const world = settled(11)
  for (const host of world.hosts.slice(1)) world.mark(host, drift)
  expect(world.run(() => world.hosts.every(host => host.mark === null) && world.value.permits.length === 0, 900)).toBe(
    true,
  )
  expect(world.hosts.map(host => host.flips)).toEqual([1, 2, 2, 2, 2])
  expect(world.hosts.map(host => host.current)).toEqual(world.hosts.map(() => v2))
  expect(world.maxDisrupted).toBe(1)
  expect(world.value).toMatchObject({ phase: 'done', generation: 1 })
  expect(world.violations).toEqual([])
})

test('a mark that is not due asks for nothing, and the next plan replaces the node although it runs the image already', () => {
  const world = settled(12)
  world.mark(world.hosts[2]!, { reason: 'hotfix: by hand', due: false })
  expect(world.run(() => world.hosts[2]!.mark === null, 120)).toBe(false)
  world.submit(planFor(world, { image: v2, maxUnavailable: 1 }))
  expect(world.run(() => world.value.phase === 'done', 900)).toBe(true)
  expect(world.hosts.map(host => host.flips)).toEqual([1, 1, 2, 1, 1])
  expect(world.violations).toEqual([])
})

test('a plan that begins while a marked node is renewed waits for it, and its terms still hold', () => {
  const world = settled(13)
  world.mark(world.hosts[1]!, drift)
  expect(world.run(() => world.hosts[1]!.machine.view().stage === 'verifying', 300)).toBe(true)
  world.submit(planFor(world, { image: v1, maxUnavailable: 1 }))
  expect(world.run(() => world.value.phase === 'done', 900)).toBe(true)
  expect(world.hosts.map(host => host.current)).toEqual(world.hosts.map(() => v1))
  expect(world.maxDisrupted).toBe(1)
  expect(world.violations).toEqual([])
})

test('a hundred rough schedules with marks end with every node renewed, and never have more than K disrupted', () => {
  for (let seed = 0; seed < 100; seed++) {
    const world = settled(5_000 + seed, ROUGH)
    for (const host of world.hosts)
      if ((seed + host.flips + world.hosts.indexOf(host)) % 2 === 0) world.mark(host, drift)
    if (seed % 4 === 0) world.run(() => world.hosts.some(host => host.machine.view().stage === 'draining'), 60)
    if (seed % 4 === 0) world.submit(planFor(world, { image: v1, maxUnavailable: 1, maxFailed: 9 }))
    world.run(() => world.hosts.every(host => host.mark === null), 300)
    world.setFaults(QUIET)
    const over = () => world.value.phase === 'done' && world.value.permits.length === 0
    expect(
      world.run(() => world.hosts.every(host => host.mark === null) && over(), 3_000),
      `seed ${seed}`,
    ).toBe(true)
    expect(world.violations, `seed ${seed}`).toEqual([])
  }
})
