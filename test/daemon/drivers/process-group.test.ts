import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { findByEnvironment, isGroupAlive, signalGroup } from '../../../daemon/drivers/process-group.ts'
import { identify, type ProcessIdentity } from '../../../daemon/state/index.ts'
import { eventually } from '../../support/wait.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
})

async function leader(script: string, env: NodeJS.ProcessEnv = process.env): Promise<[ChildProcess, ProcessIdentity]> {
  const child = spawn('/bin/sh', ['-c', script], { detached: true, stdio: 'ignore', env })
  children.push(child)
  return [child, (await identify(child.pid!))!]
}
const ended = (child: ChildProcess): Promise<void> => new Promise(resolve => child.once('exit', () => resolve()))

describe('a process group', () => {
  it('is alive while its leader is gone and a member is left, and can still be ended', async () => {
    const [child, identity] = await leader('sleep 600 & sleep 0.05')
    await ended(child)
    expect(await isGroupAlive(identity)).toBe(true)
    await signalGroup(identity, 'SIGTERM')
    await eventually('the group to be gone', async () => !(await isGroupAlive(identity)))
  })

  it('is not signalled, nor counted as alive, when its number belongs to a later process', async () => {
    const [child, identity] = await leader('exec sleep 600')
    const earlier: ProcessIdentity = { pid: identity.pid, startTime: String(Number(identity.startTime) - 1) }
    expect(await isGroupAlive(earlier)).toBe(false)
    await signalGroup(earlier, 'SIGKILL')
    // Were it signalled, it would end of that and not of this.
    const end = new Promise(resolve => child.once('exit', (_, signal) => resolve(signal)))
    await signalGroup(identity, 'SIGINT')
    expect(await end).toBe('SIGINT')
    expect(await isGroupAlive(identity)).toBe(false)
  })

  it('is found by the environment of its leader, and not by that of other members', async () => {
    const value = randomUUID()
    const [, identity] = await leader('sleep 600 & wait', { ...process.env, TEST_RUN: value })
    expect(await findByEnvironment('TEST_RUN', value)).toEqual(identity)
    expect(await findByEnvironment('TEST_RUN', randomUUID())).toBeUndefined()
  })
})
