import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Driver } from '../../../daemon/drivers/index.ts'
import { freePort } from '../../support/daemons.ts'
import { eventually } from '../../support/wait.ts'
import { ask, driverOf, image, type Lab, lab, never, runningIn, server, serverConfig, textOf } from './support.ts'

const V1 = image('v1')
const V2 = image('v2')
const BROKEN = image('broken')

describe('the process driver', () => {
  let place: Lab
  let port: number
  let drivers: Driver[]

  beforeEach(async () => {
    place = lab()
    port = await freePort()
    drivers = []
  })
  afterEach(async () => {
    for (const driver of drivers) await driver.stop({ leaveRunning: false })
    await place.close()
  })

  const open = async (more: Record<string, unknown> = {}): Promise<Driver> => {
    const driver = driverOf(place.directory, serverConfig(port, more))
    drivers.push(driver)
    await driver.start()
    return driver
  }
  const install = async (driver: Driver, name: string): Promise<void> => {
    await driver.stage({ digest: image(name) }, server(name), never)
    await driver.flip(image(name), never)
  }
  const healthy = (driver: Driver): Promise<unknown> =>
    eventually('the program to be healthy', () => driver.health().health === 'passing', { seen: () => driver.health() })

  it('runs nothing before an image is installed, and says so', async () => {
    const driver = await open()
    expect(driver.health()).toEqual({ health: 'unknown', reason: 'nothing is installed' })
    expect(driver.current()).toMatchObject({ digest: undefined, slot: undefined, previous: undefined })
    expect(driver.state().state).toBe('stopped')
    expect(driver.slots().map(({ role }) => role)).toEqual(['empty', 'empty'])
  })

  it('starts the program of a flip in its slot, and leaves no process when it is stopped', async () => {
    const driver = await open()
    await install(driver, 'v1')
    await healthy(driver)
    const pid = driver.state().pid
    expect(await ask(port)).toBe(`v1 ${pid}`)
    expect(driver.current()).toMatchObject({ digest: V1, slot: 'a', previous: undefined })
    expect(textOf(join(place.directory, 'app.log'))).toContain('version v1 listens')
    await driver.stop({ leaveRunning: false })
    expect(runningIn(place.directory)).toEqual([])
    await expect(driver.flip(V1, never)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('flips and flips back while a client polls, which only ever sees one of the two', async () => {
    const driver = await open()
    await install(driver, 'v1')
    await healthy(driver)
    const seen: string[] = []
    let polling = true
    const client = (async () => {
      while (polling) {
        const answer = (await ask(port))?.split(' ')[0]
        if (answer !== undefined && answer !== seen.at(-1)) seen.push(answer)
      }
    })()
    await driver.stage({ digest: V2 }, server('v2'), never)
    expect(driver.current().digest).toBe(V1)
    await driver.flip(V2, never)
    await healthy(driver)
    await eventually('the client to see v2', () => seen.at(-1) === 'v2')
    expect(driver.current()).toMatchObject({ digest: V2, slot: 'b', previous: V1 })
    await driver.flip(V1, never)
    await healthy(driver)
    await eventually('the client to see v1', () => seen.at(-1) === 'v1')
    expect(driver.current()).toMatchObject({ digest: V1, slot: 'a', previous: V2 })
    polling = false
    await client
    expect(seen).toEqual(['v1', 'v2', 'v1'])
  })

  it('does nothing when told to flip to what is current and running', async () => {
    const driver = await open()
    await install(driver, 'v1')
    const pid = driver.state().pid
    await driver.flip(V1, never)
    expect(driver.state().pid).toBe(pid)
  })

  it('refuses to flip to an image that no slot holds, and leaves the program alone', async () => {
    const driver = await open()
    await install(driver, 'v1')
    const pid = driver.state().pid
    await expect(driver.flip(V2, never)).rejects.toMatchObject({ code: 'not-found' })
    expect(driver.state()).toMatchObject({ state: 'running', pid })
  })

  it('flips back while a fetch for the other slot is still under way', async () => {
    const driver = await open({ keep: 2 })
    await install(driver, 'v1')
    await install(driver, 'v2')
    const abort = new AbortController()
    let begun = false
    const staging = driver.stage(
      { digest: image('v3') },
      (_, signal) => {
        begun = true
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      },
      abort.signal,
    )
    const outcome = staging.catch(error => error)
    await eventually('the fetch to begin', () => begun)
    await driver.flip(V1, never)
    await healthy(driver)
    abort.abort()
    expect(await outcome).toBeInstanceOf(Error)
    expect(driver.holds()).toEqual([V1, V2])
  })

  it('runs the old program again when the disk does not take the flip', async () => {
    const driver = await open()
    await install(driver, 'v1')
    await driver.stage({ digest: V2 }, server('v2'), never)
    // The temporary file of the slots' state cannot be made: as on a full disk, the write fails.
    const blocked = join(place.directory, 'slots.json.new')
    await mkdir(blocked)
    await expect(driver.flip(V2, never)).rejects.toThrow()
    await healthy(driver)
    expect(await ask(port)).toMatch(/^v1 /)
    expect(driver.current().digest).toBe(V1)
    await rm(blocked, { recursive: true })
    await driver.flip(V2, never)
    await healthy(driver)
    expect(await ask(port)).toMatch(/^v2 /)
  })

  it('starts the program even when its pid cannot be written down', async () => {
    const driver = await open()
    await driver.stage({ digest: V1 }, server('v1'), never)
    await mkdir(join(place.directory, 'program.json.new'))
    await driver.flip(V1, never)
    await healthy(driver)
  })

  it('starts a program that crashed again, and forgets what the checks had said of it', async () => {
    const check = { name: 'http', http: `http://127.0.0.1:${port}/`, interval: '20ms', failures: 100 }
    const driver = await open({ checks: [check] })
    await install(driver, 'v1')
    await healthy(driver)
    const before = driver.state().pid
    const heard: string[] = []
    driver.onHealth(() => heard.push(`${driver.state().state} ${driver.health().health}`))
    await ask(port, '/crash')
    await eventually(
      'the program to be back',
      () => driver.state().state === 'running' && driver.state().pid !== before,
    )
    await healthy(driver)
    expect(heard.filter((word, index) => word !== heard[index - 1])).toEqual([
      'running passing',
      'backoff failing',
      'starting failing',
      'running unknown',
      'running passing',
    ])
    expect(textOf(join(place.directory, 'app.log')).match(/version v1 listens/g)).toHaveLength(2)
  })

  it('ends what a crashed program left behind before it starts it again', async () => {
    const script = `echo "began $$"; test -e "$OLD" && exec sleep 600; touch "$OLD"; sleep 600 & exit 1`
    const driver = await open({
      command: ['/bin/sh', '-c', script],
      env: { OLD: join(place.directory, 'crashed') },
      checks: [],
    })
    await install(driver, 'v1')
    await eventually('the second run', () => textOf(join(place.directory, 'app.log')).match(/began/g)?.length === 2)
    await eventually('the second run alone to be left', () => {
      const pids = runningIn(place.directory)
      return pids.length === 1 && pids[0] === driver.state().pid
    })
  })

  it('says how the program ended while it waits to start it again', async () => {
    const driver = await open({ command: [process.execPath, '-e', 'process.exit(9)'] })
    const reasons: string[] = []
    driver.onHealth(() => reasons.push(driver.health().reason))
    await install(driver, 'v1')
    await eventually('two crashes', () => reasons.filter(reason => reason.includes('(exit 9)')).length >= 2)
    expect(reasons.find(reason => reason.includes('exit 9'))).toMatch(
      /^the program ended \(exit 9\); it is started again in \d+\.\d s$/,
    )
  })

  it('is failing, with the reason, when the program cannot be started at all', async () => {
    const driver = await open({ command: ['./no-such-program'] })
    await install(driver, 'v1')
    expect(driver.state().state).toBe('backoff')
    expect(driver.health()).toEqual({ health: 'failing', reason: expect.stringContaining('ENOENT') })
  })

  it('flips away from a program that keeps crashing', async () => {
    const driver = await open({
      command: ['/bin/sh', '-c', 'grep -q v1 version && exec "$0" server.mjs', process.execPath],
    })
    await install(driver, 'v1')
    await install(driver, 'v2')
    await eventually('v2 to crash', () => driver.state().state === 'backoff')
    await driver.flip(V1, never)
    await healthy(driver)
    expect(await ask(port)).toMatch(/^v1 /)
  })

  it('is failing when a check says so, and passing again after the flip back', async () => {
    const driver = await open()
    await install(driver, 'v1')
    await install(driver, 'broken')
    await eventually('the check to fail', () => driver.health().health === 'failing' && driver.health())
    expect(driver.current().digest).toBe(BROKEN)
    await eventually('the answer 500 to be the reason', () => driver.health().reason.endsWith('answered 500'))
    await driver.flip(V1, never)
    await healthy(driver)
  })

  it('kills a program that ignores SIGTERM, and its children, when the grace is over', async () => {
    const stubborn = `
      require('child_process').spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'])
      process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')`
    const driver = await open({ command: [process.execPath, '-e', stubborn], stopTimeout: '100ms', checks: [] })
    await install(driver, 'v1')
    await eventually('both processes', () => runningIn(place.directory).length === 2)
    await driver.stop({ leaveRunning: false })
    expect(runningIn(place.directory)).toEqual([])
  })

  it('lets what a shell started end by itself, though the shell has ended at once', async () => {
    // The shell dies of SIGTERM; the node below it takes its time to finish what it does.
    const worker = `process.on('SIGTERM', () => setTimeout(() => { console.log('finished'); process.exit(0) }, 100))
      setInterval(() => {}, 1000); console.log('ready')`
    const driver = await open({ command: ['/bin/sh', '-c', `"${process.execPath}" -e "${worker}"; true`], checks: [] })
    await install(driver, 'v1')
    const log = join(place.directory, 'app.log')
    await eventually('the worker', () => textOf(log).includes('ready'))
    await driver.stop({ leaveRunning: false })
    expect(textOf(log)).toContain('finished')
  })

  it('gives the program its layer and image, and nothing that is meant for fleetd alone', async () => {
    process.env.NOTIFY_SOCKET = '/run/notify'
    process.env.FLEETD_API_TOKEN_FILE = '/secret'
    try {
      const driver = await open()
      await install(driver, 'v1')
      await healthy(driver)
      const env = JSON.parse((await ask(port, '/env'))!)
      expect(env).toMatchObject({ FLEET_LAYER: 'app', FLEET_IMAGE: V1, FLEET_IMAGE_CURRENT: V1, FLEET_SLOT: 'a' })
      expect(env.PATH).toBe(process.env.PATH)
      expect(env).not.toHaveProperty('NOTIFY_SOCKET')
      expect(env).not.toHaveProperty('FLEETD_API_TOKEN_FILE')
    } finally {
      delete process.env.NOTIFY_SOCKET
      delete process.env.FLEETD_API_TOKEN_FILE
    }
  })

  it('runs the hooks in the current slot, and passes their word on', async () => {
    const driver = await open({
      hooks: { ready: 'echo "$FLEET_IMAGE over $(cat version)"; exit 75', drain: 'exit 1' },
    })
    expect(await driver.ready(V1, never)).toEqual({ answer: 'ok', reason: 'nothing is installed yet' })
    await install(driver, 'v1')
    expect(await driver.ready(V2, never)).toEqual({ answer: 'busy', reason: `hook ready: exit 75: ${V2} over v1` })
    expect((await driver.drain(V2, never)).answer).toBe('failed')
  })

  it('puts a drained program back in service by starting it afresh', async () => {
    const driver = await open({ hooks: { drain: 'exit 0' } })
    await install(driver, 'v1')
    const before = driver.state().pid
    expect((await driver.drain(V2, never)).answer).toBe('ok')
    await driver.undrain(never)
    await healthy(driver)
    expect(driver.state().pid).not.toBe(before)
  })

  it('leaves the program be at an undrain when there is no drain hook', async () => {
    const driver = await open()
    await install(driver, 'v1')
    const before = driver.state().pid
    expect(await driver.drain(V2, never)).toEqual({ answer: 'ok', reason: 'there is no drain hook' })
    await driver.undrain(never)
    expect(driver.state().pid).toBe(before)
  })

  it('comes back with the same slots and program after a full stop', async () => {
    const first = await open()
    await install(first, 'v1')
    await install(first, 'v2')
    await first.stop({ leaveRunning: false })
    const second = await open()
    await healthy(second)
    expect(second.current()).toMatchObject({ digest: V2, slot: 'b', previous: V1 })
    expect(await ask(port)).toMatch(/^v2 /)
    await second.flip(V1, never)
    await healthy(second)
  })

  it('refuses to start over a damaged state, naming the file', async () => {
    await mkdir(place.directory, { recursive: true })
    await writeFile(join(place.directory, 'slots.json'), '{"slots":{},"current":"a","previous":null}')
    const driver = driverOf(place.directory, serverConfig(port))
    await expect(driver.start()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining('slots.json is damaged'),
    })
  })
})
