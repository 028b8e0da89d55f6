import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { identify, isAlive } from '../../../daemon/state/index.ts'
import { eventually } from '../../support/wait.ts'

it('knows a living process, and that it is gone once it ended', async () => {
  const child = spawn('sleep', ['60'])
  const identity = await identify(child.pid!)
  expect(identity).toMatchObject({ pid: child.pid })
  expect(await isAlive(identity!)).toBe(true)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await isAlive(identity!)).toBe(false)
  expect(await identify(child.pid!)).toBeUndefined()
})

it('does not take another process with the same pid for the one that was meant', async () => {
  const self = await identify(process.pid)
  expect(await isAlive(self!)).toBe(true)
  expect(await isAlive({ pid: process.pid, startTime: String(Number(self!.startTime) - 1) })).toBe(false)
})

it('reads a process whose name looks like the end of its name', async () => {
  const child = spawn('bash', ['-c', 'printf "x) Z 1 (" > /proc/$$/comm; echo named; read'])
  await once(child.stdout, 'data')
  const identity = await eventually('the process to be seen', () => identify(child.pid!))
  expect(await isAlive(identity)).toBe(true)
  child.kill('SIGKILL')
  await once(child, 'exit')
})

it('takes a process that ended and was not reaped for gone', async () => {
  // The child's parent is stopped, and so does not reap it.
  const parent = spawn('bash', ['-c', 'sleep 60 & echo $!; kill -STOP $$'])
  const [line] = await once(parent.stdout, 'data')
  const pid = Number(String(line))
  process.kill(pid, 'SIGKILL')
  await eventually('it to be gone', async () => (await identify(pid)) === undefined)
  parent.kill('SIGKILL')
  await once(parent, 'exit')
})
