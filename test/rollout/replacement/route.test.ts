import { describe, expect, it } from 'vitest'
import type { Digest } from '../../../protocol/index.ts'
import { nextOnRoute } from '../../../rollout/index.ts'
import { createWorld, image, planFor, type World } from './world.ts'

const [v1, v2, v3, v4, v5] = ['v1', 'v2', 'v3', 'v4', 'v5'].map(image) as [Digest, Digest, Digest, Digest, Digest]
const past = (image: Digest, barrier = false) => ({ image, version: `shop:${image.slice(0, 4)}`, barrier })
/** v2 and v4 may not be skipped. */
const lineage = [past(v1), past(v2, true), past(v3), past(v4, true)]
const calm = { noQuorum: 0, crash: 0, flipFails: 0 }

describe('the way from one image to another', () => {
  const way = (from: Digest | null, to: Digest): Digest => nextOnRoute({ image: to, version: 'x', lineage }, from).image
  it.each([
    ['goes by the first barrier ahead', v1, v5, v2],
    ['and then by the next', v2, v5, v4],
    ['skips what is no barrier', v3, v5, v4],
    ['ends where there is none any more', v4, v5, v5],
    ['goes by all barriers from what the group never ran', image('other'), v5, v2],
    ['goes by none from an empty slot', null, v5, v5],
    ['does not go beyond its end', v1, v3, v2],
    ['goes back without a detour', v4, v1, v1],
    ['goes back to a barrier', v4, v2, v2],
  ])('%s', (_, from, to, expected) => {
    expect(way(from, to)).toBe(expected)
  })
})

describe('nodes that are behind', () => {
  const behind = (faults = calm, seed = 5): World => {
    const world = createWorld(6, seed, { healthy: () => true, faults, initial: v1 })
    world.submit(planFor(world, { image: v5, lineage }))
    return world
  }

  it('go by every barrier to the newest image, each time under a permit', () => {
    const world = behind()
    expect(world.run(() => world.value.phase === 'done', 600)).toBe(true)
    expect(world.hosts.map(({ ran }) => ran)).toEqual(Array(6).fill([v2, v4, v5]))
    expect(world.violations).toEqual([])
    // A permit for each step of each node.
    expect(world.value.nextToken).toBe(1 + 6 * 3)
  })

  it('say where they are going', () => {
    const world = behind()
    world.act({ type: 'pause', reason: 'lunch', now: world.now })
    const waiting = (): string => world.hosts[3]!.machine.view().waitingFor
    expect(world.run(() => waiting().includes('lunch'), 60)).toBe(true)
    expect(waiting()).toMatch(/^the rollout is paused: lunch; on its way to shop:x it may not skip shop:/)
  })

  it('get there however often their daemons are killed, and never more than K are down', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const world = behind({ noQuorum: 0.2, crash: 0.05, flipFails: 0.1 }, seed)
      expect(world.run(() => world.value.phase === 'done', 3_000)).toBe(true)
      expect(world.violations).toEqual([])
      for (const { current, ran } of world.hosts) {
        expect(current).toBe(v5)
        expect(ran.filter((image, at) => image !== ran[at - 1])).toEqual([v2, v4, v5])
      }
    }
  })

  it('that fail at a barrier go back to where they were', () => {
    const world = createWorld(4, 9, { healthy: image => image !== v2, faults: calm, initial: v1 })
    world.submit(planFor(world, { image: v5, lineage, maxFailed: 1, deadline: 5_000 }))
    expect(world.run(() => world.value.phase === 'rolled-back', 120)).toBe(true)
    expect(world.run(() => world.value.permits.length === 0, 120)).toBe(true)
    expect(world.hosts.every(({ current }) => current === v1)).toBe(true)
  })
})

describe('an image that requires another layer to be something', () => {
  const conditions = () => ({ requires: { base: v2 }, reversible: true })

  it('waits for that, holding nothing, and goes on when it is there', () => {
    const world = createWorld(3, 4, { healthy: () => true, faults: calm, initial: v1, conditions })
    for (const host of world.hosts) world.beside(host, 'base', v1)
    world.submit(planFor(world, { image: v3 }))
    const waits = () => world.hosts.every(host => host.machine.view().waitingFor.startsWith('waiting for layer base'))
    expect(world.run(waits, 60)).toBe(true)
    expect(world.hosts[0]!.machine.view().waitingFor).toMatch(
      /to run [0-9a-f]{12}, which the new image requires; it runs/,
    )
    expect(world.value.nextToken).toBe(1)
    for (const host of world.hosts) world.beside(host, 'base', v2)
    expect(world.run(() => world.value.phase === 'done', 120)).toBe(true)
  })

  it('says so where the host has no such layer', () => {
    const world = createWorld(1, 4, { healthy: () => true, faults: calm, initial: v1, conditions })
    world.submit(planFor(world, { image: v3, maxUnavailable: 1 }))
    const says = () => /this host has no such layer/.test(world.hosts[0]!.machine.view().waitingFor)
    expect(world.run(says, 60)).toBe(true)
  })
})

describe('an image that there is no way back from', () => {
  const conditions = () => ({ requires: {}, reversible: false })

  it('stays where it failed, and stops the rollout there', () => {
    const world = createWorld(4, 6, {
      healthy: (image, host) => image === v1 || host !== 2,
      faults: calm,
      initial: v1,
      conditions,
    })
    world.submit(planFor(world, { image: v2, reversible: false, maxFailed: 1, maxUnavailable: 1, deadline: 5_000 }))
    expect(world.run(() => world.value.phase === 'paused', 240)).toBe(true)
    expect(world.value.reason).toMatch(
      /failed: not healthy within 5 s.*no way back past shop:x, which says so of itself/,
    )
    expect(world.hosts[2]!.current).toBe(v2)
    expect(world.act({ type: 'undo', reason: '', now: world.now })).toMatchObject({ refused: 'denied' })
    expect(world.run(() => world.value.permits.length === 0, 60)).toBe(true)
    expect(world.hosts.flatMap(({ ran }) => ran).every(image => image === v2)).toBe(true)
  })
})
