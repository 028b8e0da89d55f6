import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../../support/wait.ts'

// The launcher itself, with shell scripts in the place of fleetd: they write their name to the file `ran`, and then do what their text says.

const LAUNCHER = resolve(import.meta.dirname, '../../../daemon/launcher/fleetd-launcher.sh')

let dir: string
let launcher: ChildProcess | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-launcher-'))
  mkdirSync(join(dir, 'launch'))
})
afterEach(async () => {
  launcher?.kill('SIGTERM')
  await rm(dir, { recursive: true, force: true })
})

const at = (name: string): string => join(dir, name)
const ran = (): string[] => read('ran').split('\n').slice(0, -1)
function read(name: string): string {
  try {
    return readFileSync(at(name), 'utf8')
  } catch {
    return ''
  }
}

/** A program that says that it ran, and then does this. */
function program(path: string, then: string): string {
  writeFileSync(at(path), `#!/bin/sh\ncd ${dir}\necho "\${0##*/} $* $FLEET_LAUNCHED" >> ran\n${then}\n`, {
    mode: 0o755,
  })
  return at(path)
}

/** What the slot's fleetd does. */
function slot(name: string, then: string): void {
  mkdirSync(at(`slots/${name}`), { recursive: true })
  program(`slots/${name}/fleetd`, then)
}

/** What a fleetd does that has another started in its place. */
const SWITCH = 'echo "60 -" > launch/trial; ln -s ../slots/a/fleetd launch/current; exit 0'

function launch(builtin: string): Promise<number | null> {
  launcher = spawn(LAUNCHER, [dir, builtin, '--name', 'n0'], { stdio: 'ignore' })
  return new Promise(done => launcher!.once('exit', done))
}

test('it ends with what fleetd ended with, and passes flags on', async () => {
  expect(await launch(program('first', 'exit 7'))).toBe(7)
  expect(ran()).toEqual(['first --name n0 -'])
})

test('it passes SIGTERM on and waits', async () => {
  const exit = launch(program('first', 'trap "echo stopped >> ran; exit 0" TERM; echo ready >> ran; sleep 30 & wait'))
  await eventually('it to run', () => ran().includes('ready'), { everyMs: 10 })
  launcher!.kill('SIGTERM')
  expect(await exit).toBe(0)
  expect(ran()).toContain('stopped')
})

test('it starts what fleetd points to, and leaves that alone once it has proved itself', async () => {
  slot('a', 'rm launch/trial; exit 3')
  expect(await launch(program('first', SWITCH))).toBe(3)
  expect(ran()).toEqual(['first --name n0 -', 'current --name n0 ../slots/a/fleetd'])
})

test('one that ends three times before it has proved itself is taken back', async () => {
  slot('a', 'exit 1')
  expect(await launch(program('first', `[ -e launch/refused ] && exit 5; ${SWITCH}`))).toBe(5)
  const tried = 'current --name n0 ../slots/a/fleetd'
  expect(ran()).toEqual(['first --name n0 -', tried, tried, tried, 'first --name n0 -'])
  expect(read('launch/refused')).toMatch(/^\.\.\/slots\/a\/fleetd it ended 3 times/)
  expect([read('launch/trial'), read('launch/current')]).toEqual(['', ''])
})

test('one that hangs is ended when its time is over, and the slot before is started', async () => {
  slot('a', '[ -e launch/refused ] && exit 6; exit 1')
  slot('b', 'exec sleep 60')
  symlinkSync('../slots/b/fleetd', at('launch/current'))
  writeFileSync(at('launch/trial'), '1 ../slots/a/fleetd\n')
  expect(await launch('/bin/false')).toBe(6)
  expect(ran()).toEqual(['current --name n0 ../slots/b/fleetd', 'current --name n0 ../slots/a/fleetd'])
  expect(read('launch/refused')).toMatch(/did not prove itself within 1 s/)
})

test('a trial that was begun and came to nothing ends with the next start', async () => {
  slot('a', 'exit 4')
  symlinkSync('../slots/a/fleetd', at('launch/current'))
  writeFileSync(at('launch/trial'), '60 ../slots/a/fleetd\n')
  expect(await launch('/bin/false')).toBe(4)
  expect(read('launch/trial')).toBe('')
})
