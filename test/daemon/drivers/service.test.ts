import { mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Driver } from '../../../daemon/drivers/index.ts'
import { unitState } from '../../../daemon/drivers/unit.ts'
import { driverOf, image, type Lab, lab, never } from './support.ts'

describe('what systemctl show prints', () => {
  const state = (text: string) => unitState('shop.service', text)
  it.each([
    [
      'ActiveState=active\nSubState=running\nMainPID=71\nInvocationID=ab',
      { state: 'running', pid: 71, invocation: 'ab' },
    ],
    ['ActiveState=activating\nSubState=auto-restart\nMainPID=0', { state: 'backoff', pid: undefined }],
    ['ActiveState=activating\nSubState=start', { state: 'starting' }],
    ['ActiveState=deactivating\nSubState=stop-sigterm', { state: 'stopping' }],
    [
      'ActiveState=failed\nSubState=failed\nResult=exit-code',
      { state: 'stopped', reason: 'unit shop.service failed (exit-code)' },
    ],
    ['LoadState=not-found\nActiveState=inactive', { state: 'stopped', reason: 'unit shop.service is not-found' }],
    ['', { state: 'stopped', reason: 'unit shop.service is not known to systemd' }],
  ])('%j', (text, expected) => {
    expect(state(text)).toMatchObject(expected)
  })
})

// No systemd runs where these tests do: a script stands in for systemctl, and writes down how it was called and where the link led then.
describe('the adapter, with a stand-in for systemctl', () => {
  let place: Lab
  let driver: Driver
  const path = process.env.PATH
  const at = (name: string): string => join(place.directory, name)

  beforeEach(async () => {
    place = lab()
    mkdirSync(at('bin'))
    writeFileSync(
      at('bin/systemctl'),
      `#!/bin/sh
cd ${place.directory}
[ "$2" = show ] && { cat shown; exit; }
echo "$* $(basename "$(readlink current)")" >> called
[ "$2" = stop ] || echo "ActiveState=$(cat becomes)
SubState=x
InvocationID=$(wc -l < called)" > shown
[ "$(cat becomes)" = active ]
`,
      { mode: 0o755 },
    )
    writeFileSync(at('becomes'), 'active')
    process.env.PATH = `${at('bin')}:${path}`
    driver = driverOf(place.directory, { driver: 'service', unit: 'shop.service' })
    await driver.start()
  })
  afterEach(async () => {
    await driver.stop({ leaveRunning: true })
    process.env.PATH = path
    await place.close()
  })
  const called = async (): Promise<string[]> => (await readFile(at('called'), 'utf8')).trim().split('\n')
  const goTo = async (version: string): Promise<void> => {
    await driver.stage({ digest: image(version) }, dir => writeFile(join(dir, 'version'), version), never)
    await driver.flip(image(version), never)
  }

  it('has the link lead to the new slot and restarts the unit', async () => {
    await goTo('v1')
    await goTo('v2')
    await driver.flip(image('v2'), never)
    expect(await called()).toEqual(['--system restart shop.service a', '--system restart shop.service b'])
    expect(readlinkSync(at('current'))).toBe(at('slots/b'))
    expect(driver.state().state).toBe('running')
    expect(driver.health().health).toBe('passing')
  })

  it('is failing while the unit is', async () => {
    await goTo('v1')
    writeFileSync(at('becomes'), 'failed')
    await goTo('v2')
    expect(driver.current().digest).toBe(image('v2'))
    expect(driver.health()).toMatchObject({ health: 'failing', reason: expect.stringContaining('failed') })
  })

  it('starts the unit with the daemon, leaves it running after it, and stops it when the host leaves', async () => {
    await goTo('v1')
    await driver.stop({ leaveRunning: true })
    driver = driverOf(place.directory, { driver: 'service', unit: 'shop.service' })
    await driver.start()
    await driver.stop({ leaveRunning: false })
    expect((await called()).slice(1)).toEqual(['--system start shop.service a', '--system stop shop.service a'])
    driver = driverOf(place.directory, { driver: 'service', unit: 'shop.service' })
    await driver.start()
  })
})
