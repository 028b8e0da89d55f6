import { writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Driver, flipFailure } from '../../../daemon/drivers/index.ts'
import { eventually } from '../../support/wait.ts'
import { driverOf, image, type Lab, lab, never } from './support.ts'

let place: Lab
let driver: Driver
beforeEach(() => {
  place = lab()
})
afterEach(async () => {
  await driver.stop({ leaveRunning: false })
  await place.close()
})

const at = (name: string): string => join(place.directory, name)
/** A command that writes down what it was told, and then does this. */
const says = (name: string, then = 'true'): string =>
  `echo "${name} $(cat version) $(basename "$FLEET_DIRECTORY") from=$(echo $FLEET_IMAGE_CURRENT | cut -c1-4)" >> ${at('said')}; ${then}`
const said = async (): Promise<string[]> => (await readFile(at('said'), 'utf8')).trim().split('\n')
const unpack = (version: string) => (directory: string) => writeFile(join(directory, 'version'), version)
const stage = (version: string): Promise<void> => driver.stage({ digest: image(version) }, unpack(version), never)

async function started(config: Record<string, unknown>): Promise<void> {
  driver = driverOf(place.directory, { driver: 'exec', ...config })
  await driver.start()
}

test('the commands are run in the slot of the image that they are about: prepare, switch, and undo on the way back', async () => {
  await started({ prepare: says('prepare'), switch: says('switch'), undo: says('undo') })
  const [v1, v2] = [image('v1').slice(0, 4), image('v2').slice(0, 4)]
  await stage('v1')
  await driver.flip(image('v1'), never)
  await driver.flip(image('v1'), never)
  await stage('v2')
  await driver.flip(image('v2'), never)
  await driver.flip(image('v1'), never)
  expect(await said()).toEqual([
    'prepare v1 a from=',
    'switch v1 a from=',
    `prepare v2 b from=${v1}`,
    `switch v2 b from=${v1}`,
    `undo v1 a from=${v2}`,
  ])
  expect(driver.current()).toMatchObject({ digest: image('v1'), previous: image('v2') })
})

test('a switch that fails leaves what was current, one that is busy is to be asked again, one that hangs is ended', async () => {
  await started({ switch: { run: `. ${at('how')}`, timeout: '100ms' } })
  await stage('v1')
  const tried = async (how: string): Promise<unknown> => {
    writeFileSync(at('how'), how)
    return driver.flip(image('v1'), never).catch(flipFailure)
  }
  expect(await tried('echo no such disk; exit 1')).toEqual({
    why: 'failed',
    reason: 'command switch: exit 1: no such disk',
  })
  expect(await tried('exit 75')).toMatchObject({ why: 'busy' })
  expect(await tried('sleep 10')).toMatchObject({ why: 'failed', reason: expect.stringContaining('within 0.1 s') })
  expect(driver.current().digest).toBeUndefined()
  expect(await tried('exit 0')).toBeUndefined()
  expect(driver.current().digest).toBe(image('v1'))
})

test('what could not be prepared is no staged image', async () => {
  await started({ prepare: 'exit 75', switch: 'true' })
  await expect(stage('v1')).rejects.toThrow(/command prepare is busy/)
  expect(driver.holds()).toEqual([])
})

test('its health is what the health command says since the last switch', async () => {
  await started({ switch: 'true', health: `test ! -e ${at('sick')}` })
  await stage('v1')
  expect(driver.health().health).toBe('unknown')
  await driver.flip(image('v1'), never)
  await eventually('it to be well', () => driver.health().health === 'passing')
  writeFileSync(at('sick'), '')
  await stage('v2')
  await driver.flip(image('v2'), never)
  await eventually('the new one to have been looked at', () =>
    /^check health has not passed yet: .*: exit 1$/.test(driver.health().reason),
  )
})

test('undrain is a command of its own', async () => {
  await started({ switch: 'true', hooks: { drain: 'true', undrain: `echo undrained > ${at('said')}` } })
  await stage('v1')
  await driver.flip(image('v1'), never)
  await driver.undrain(never)
  expect(await said()).toEqual(['undrained'])
})
