import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Driver } from '../../../daemon/drivers/index.ts'
import { freePort } from '../../support/daemons.ts'
import { eventually } from '../../support/wait.ts'
import { ask, driverOf, image, type Lab, lab, never, runningIn, server, serverConfig, textOf } from './support.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

describe('a daemon that was killed', () => {
  let place: Lab
  let port: number
  const children: ChildProcess[] = []
  const drivers: Driver[] = []

  beforeEach(async () => {
    place = lab()
    port = await freePort()
  })
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    for (const driver of drivers.splice(0)) await driver.stop({ leaveRunning: false })
    await place.close()
  })

  /** Starts a process that owns the driver, waits for the line it prints, and kills it with -9. */
  const runAndKill = async (task: 'run' | 'stage', line: RegExp): Promise<RegExpExecArray> => {
    const config = JSON.stringify(serverConfig(port))
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, 'host-child.ts'), place.directory, config, task],
      { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    children.push(child)
    let text = ''
    child.stdout.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    const ended = new Promise(done => child.once('exit', done))
    const match = await eventually('the host process', () => line.exec(text) ?? undefined, { seen: () => text })
    child.kill('SIGKILL')
    await ended
    return match
  }
  const open = async (more: Record<string, unknown> = {}): Promise<Driver> => {
    const driver = driverOf(place.directory, serverConfig(port, more))
    drivers.push(driver)
    await driver.start()
    return driver
  }
  const healthy = (driver: Driver): Promise<unknown> =>
    eventually('the program to be healthy', () => driver.health().health === 'passing', { seen: () => driver.health() })

  it('leaves its program running, and the next one adopts that very process', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    await eventually('the program to answer without its daemon', async () => (await ask(port)) === `v1 ${pid}`)
    const driver = await open()
    expect(driver.state()).toMatchObject({ state: 'running', pid: Number(pid) })
    await healthy(driver)
    expect(runningIn(place.directory)).toEqual([Number(pid)])
    // An adopted program is looked after like any other: started again when it ends, and stopped by a flip.
    process.kill(Number(pid), 'SIGKILL')
    await eventually(
      'it to be started again',
      () => driver.state().state === 'running' && driver.state().pid !== Number(pid),
    )
    await healthy(driver)
  })

  it('is followed by one that flips the adopted program away', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    const driver = await open()
    await driver.stage({ digest: image('v2') }, server('v2'), never)
    await driver.flip(image('v2'), never)
    await healthy(driver)
    expect(existsSync(`/proc/${pid}/cwd`)).toBe(false)
    expect(await ask(port)).toMatch(/^v2 /)
  })

  it('is followed by one that keeps the program as it is when its configuration has changed meanwhile', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    const driver = await open({ env: { PORT: String(port), EXTRA: '1' } })
    expect(driver.state().pid).toBe(Number(pid))
  })

  it('does not mistake another process with the same pid for its program', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    process.kill(Number(pid), 'SIGKILL')
    await eventually('the program to be gone', () => runningIn(place.directory).length === 0)
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' })
    children.push(other)
    const file = join(place.directory, 'program.json')
    const entry = JSON.parse(textOf(file))
    await writeFile(file, JSON.stringify({ ...entry, process: { ...entry.process, pid: other.pid } }))
    const driver = await open()
    await healthy(driver)
    expect(driver.state().pid).not.toBe(other.pid)
    await driver.stop({ leaveRunning: false })
    expect(other.exitCode).toBeNull()
    expect(other.signalCode).toBeNull()
  })

  it('does not take a process of before the last boot for its program', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    const file = join(place.directory, 'program.json')
    await writeFile(file, JSON.stringify({ ...JSON.parse(textOf(file)), boot: 'another' }))
    const driver = await open({ checks: [] })
    expect(driver.state().pid).not.toBe(Number(pid))
  })

  it('has its program found even when it was killed before the pid was on disk', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    const file = join(place.directory, 'program.json')
    await writeFile(file, JSON.stringify({ ...JSON.parse(textOf(file)), process: null }))
    const driver = await open()
    expect(driver.state().pid).toBe(Number(pid))
    expect(runningIn(place.directory)).toEqual([Number(pid)])
  })

  it('has its program ended when nothing is current any more', async () => {
    await runAndKill('run', /pid (\d+)/)
    await writeFile(join(place.directory, 'slots.json'), '{"slots":{},"current":null,"previous":null}')
    const driver = await open()
    expect(driver.state().state).toBe('stopped')
    expect(runningIn(place.directory)).toEqual([])
  })

  it('in the middle of staging leaves an empty slot and what ran before', async () => {
    const [, pid] = await runAndKill('run', /pid (\d+)/)
    await runAndKill('stage', /staging/)
    expect(existsSync(join(place.directory, 'slots/b/half'))).toBe(true)
    const driver = await open()
    expect(driver.state().pid).toBe(Number(pid))
    expect(driver.holds()).toEqual([image('v1')])
    expect(existsSync(join(place.directory, 'slots/b'))).toBe(false)
  })

  it('or was stopped and told to leave the program running, is followed by one that adopts it', async () => {
    const first = await open()
    await first.stage({ digest: image('v1') }, server('v1'), never)
    await first.flip(image('v1'), never)
    const { pid } = first.state()
    await first.stop({ leaveRunning: true })
    drivers.length = 0
    expect(runningIn(place.directory)).toEqual([pid])
    const second = await open()
    expect(second.state()).toMatchObject({ state: 'running', pid })
    await healthy(second)
  })
})
