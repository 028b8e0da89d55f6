import { readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDriver, type Driver, flipFailure } from '../../../daemon/drivers/index.ts'
import { seededRandom } from '../../../protocol/index.ts'
import { image, type Lab, lab, never, node, parse, quiet } from './support.ts'

// What fleetd itself does with the files that it shares with its launcher; test/daemon/launcher has the other side, test/process/drivers both.

let place: Lab
let restarts: number
beforeEach(() => {
  place = lab()
  restarts = 0
  process.env.FLEET_LAUNCHER = place.directory
})
afterEach(async () => {
  delete process.env.FLEET_LAUNCHER
  await place.close()
})

/** The driver as the next daemon finds it. */
async function started(): Promise<Driver> {
  const driver = createDriver(parse({ driver: 'agent', patience: '5s' }), {
    ...{ layer: 'agent', directory: place.directory, node, random: seededRandom(7), log: quiet },
    restart: () => {
      restarts += 1
    },
  })
  await driver.start()
  return driver
}
const unpack = async (directory: string): Promise<void> =>
  writeFile(join(directory, 'fleetd.js'), 'fleetd', { mode: 0o755 })
const launch = (name: string): string => join(place.directory, 'launch', name)
const target = (): string => readlinkSync(launch('current'))

/** Flips, as far as a daemon sees of it that ends on the way. */
async function replaced(driver: Driver, name: string, within = 10_000): Promise<Driver> {
  await driver.stage({ digest: image(name) }, unpack, never)
  const before = restarts
  const ending = new AbortController()
  const flipping = driver.flip(image(name), ending.signal, within).catch(flipFailure)
  while (restarts === before) await new Promise(resolve => setTimeout(resolve, 1))
  ending.abort()
  await flipping
  return started()
}

test('it is only for a fleetd that its launcher has started', async () => {
  delete process.env.FLEET_LAUNCHER
  await expect(started()).rejects.toThrow(
    /started by fleetd-launcher, and it was not; start it with: fleetd-launcher \//,
  )
})

test('the next daemon is on trial for as long as the plan lets it and a while more, until it is to stay', async () => {
  const first = await started()
  expect(first.health().health).toBe('unknown')
  const second = await replaced(first, 'v1')
  expect(readFileSync(launch('trial'), 'utf8')).toBe('15 -\n')
  expect(second.current()).toMatchObject({ digest: image('v1'), slot: 'a' })
  expect(second.health().health).toBe('passing')
  await second.flip(image('v1'), never)
  await second.settle()
  expect(() => readFileSync(launch('trial'))).toThrow()
  const third = await replaced(second, 'v2')
  expect(readFileSync(launch('trial'), 'utf8')).toBe('15 ../slots/a/fleetd.js\n')
  expect(third.current()).toMatchObject({ digest: image('v2'), previous: image('v1') })
})

test('going back from what has not proved itself is no trial', async () => {
  const first = await replaced(await started(), 'v1')
  await first.settle()
  const back = await replaced(await replaced(first, 'v2'), 'v1')
  expect(() => readFileSync(launch('trial'))).toThrow()
  expect(target()).toBe('../slots/a/fleetd.js')
  expect(back.current()).toMatchObject({ digest: image('v1') })
})

test('what the launcher went back from is not tried again under the same permit, and may be under the next', async () => {
  const first = await started()
  await replaced(first, 'v1')
  // The launcher's part.
  rmSync(launch('current'))
  rmSync(launch('trial'))
  writeFileSync(launch('refused'), '../slots/a/fleetd.js it ended 3 times\n')
  const again = await started()
  expect(again.current().digest).toBeUndefined()
  const failure = await again.flip(image('v1'), never).catch(flipFailure)
  expect(failure).toEqual({ why: 'refused', reason: 'the new fleetd was taken back: it ended 3 times' })
  await again.settle()
  expect((await replaced(again, 'v1')).current().digest).toBe(image('v1'))
})

test('an image with no fleetd in it is refused while this one still runs', async () => {
  const driver = await started()
  await driver.stage({ digest: image('v1') }, async dir => writeFile(join(dir, 'README'), ''), never)
  expect(await driver.flip(image('v1'), never).catch(flipFailure)).toMatchObject({ why: 'refused' })
  expect(restarts).toBe(0)
})
