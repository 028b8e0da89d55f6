import { rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { mostAtOnce } from '../support/disruptions.ts'
import { eventually } from '../support/wait.ts'
import { NAMES, type Shops, shops } from './shops.ts'

// Gates that take their time, with real daemons: `npm run test:rollout`.

let shop: Shops
beforeAll(async () => {
  shop = await shops()
}, 60_000)
afterAll(() => shop?.box.close())
beforeEach(() => shop.forget())

test('v1 runs everywhere', async () => {
  expect((await shop.start('v1', '--strategy', 'at-once')).code).toBe(0)
}, 60_000)

test('a soak ends by itself', async () => {
  await shop.started('v2', '--strategy', 'canary', '--soak', '500ms', '--max-unavailable', '3')
  await shop.reaches('done')
  const [canary, ...others] = shop.disruptions()
  expect(Math.min(...others.map(({ begin }) => begin)) - canary!.end).toBeGreaterThanOrEqual(500)
}, 60_000)

test('outside of its window nothing goes forward; pause and resume change nothing about that; within it everything goes', async () => {
  const month = (new Date().getUTCMonth() + 6) % 12
  await shop.started('v1', '--window', `0 0 1 ${month + 1} */1h/Europe/Berlin`, '--strategy', 'canary')
  await eventually('every node to wait for its window', async () => {
    const reasons = await Promise.all(NAMES.map(shop.explain))
    return reasons.filter(reason => /waiting for the maintenance window that opens on 20/.test(reason)).length === 1
  })
  await shop.verb('pause', '--reason', 'lunch')
  await eventually('a node to know of the pause', async () => /paused: lunch/.test(await shop.explain('n1')))
  await shop.verb('resume')
  await shop.verb('promote')
  await eventually('every node to wait', async () => {
    const reasons = await Promise.all(NAMES.map(shop.explain))
    return reasons.every(reason => /maintenance window/.test(reason))
  })
  await shop.verb('abort', '--reason', 'never mind')
  expect(await shop.status()).toMatchObject({ phase: 'aborted', ok: 0, reason: 'never mind' })
  expect(shop.disruptions()).toEqual([])
  await shop.started('v1', '--window', '* * * * */2m', '--max-unavailable', '2')
  await shop.reaches('done')
  expect(mostAtOnce(shop.disruptions())).toBeLessThanOrEqual(2)
}, 90_000)

test('a node that is not well after the last one has gone takes the rollout back', async () => {
  await shop.started('v2', '--analysis', '1h', '--max-failed', '1', '--max-unavailable', '3')
  await shop.reaches('soaking')
  writeFileSync(shop.sickness('n2'), '')
  await shop.reaches('reversing')
  rmSync(shop.sickness('n2'))
  const undone = await shop.reaches('rolled-back')
  expect(undone.reason).toMatch(/failed: .*well/)
  expect(shop.disruptions()).toHaveLength(8)
  const { code, stderr } = await shop.start('v2')
  expect({ code, stderr }).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/failed in group web before.*--force/),
  })
}, 90_000)
