import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type HookRun, runHook } from '../../../daemon/drivers/hooks.ts'
import { eventually } from '../../support/wait.ts'
import { type Lab, lab, never, runningIn } from './support.ts'

describe('a hook', () => {
  let place: Lab

  beforeEach(() => {
    place = lab()
  })
  afterEach(() => place.close())

  const run = (command: string, more: Partial<HookRun> = {}) =>
    runHook({ command, cwd: place.directory, env: {}, timeout: 20_000, signal: never, ...more })

  it('says yes with exit 0', async () => {
    expect(await run('exit 0')).toEqual({ answer: 'ok', reason: 'exit 0', output: '' })
  })

  it('is busy with exit 75, and its last line says why', async () => {
    expect(await run('echo looking; echo two sessions are open >&2; exit 75')).toMatchObject({
      answer: 'busy',
      reason: expect.stringMatching(/^exit 75: (looking|two sessions are open)$/),
    })
  })

  it.each([
    ['exits with anything else', 'echo no; exit 1', 'exit 1: no'],
    ['does not exist', './no-such-hook 2>/dev/null', 'exit 127'],
    ['is killed', 'kill -KILL $$', 'ended by SIGKILL'],
  ])('has failed when it %s', async (_, command, reason) => {
    expect(await run(command)).toMatchObject({ answer: 'failed', reason })
  })

  it('is killed with all that it started when its time is over', async () => {
    const answer = await run('echo waiting; sleep 600 & sleep 600', { timeout: 200 })
    expect(answer).toMatchObject({ answer: 'failed', reason: 'it did not end within 0.2 s: waiting' })
    await eventually('both to be gone', () => runningIn(place.directory).length === 0)
  })

  it('is killed when it is cancelled', async () => {
    const abort = new AbortController()
    const answer = run('touch begun; sleep 600', { signal: abort.signal })
    await eventually('the hook to begin', () => existsSync(join(place.directory, 'begun')))
    abort.abort()
    expect(await answer).toMatchObject({ answer: 'failed', reason: 'it was cancelled' })
    await eventually('it to be gone', () => runningIn(place.directory).length === 0)
    expect(await run('exit 0', { signal: abort.signal })).toMatchObject({ answer: 'failed' })
  })

  it('is over when its command is, whatever that left running', async () => {
    expect(await run('sleep 600 & exit 0')).toMatchObject({ answer: 'ok' })
    await eventually('the rest to be gone', () => runningIn(place.directory).length === 0)
  })

  it('is over when its command is, even where something left its group and holds its output open', async () => {
    expect(await run('setsid sleep 600 & sleep 0.1; exit 0')).toMatchObject({ answer: 'ok' })
  })

  it('has the end of its output kept, and no more', async () => {
    const { output, reason } = await run('yes line | head -c 1000000; echo; echo the end')
    expect(output.length).toBeLessThanOrEqual(4 * 1024)
    expect(reason).toBe('exit 0: the end')
  })

  it('sees its environment and directory', async () => {
    expect(await run('echo "$FLEET_LAYER in $PWD"', { env: { FLEET_LAYER: 'app' } })).toMatchObject({
      output: `app in ${place.directory}\n`,
    })
  })

  it('has failed where its directory is missing', async () => {
    expect(await run('exit 0', { cwd: join(place.directory, 'nowhere') })).toMatchObject({
      answer: 'failed',
      reason: expect.stringContaining('it could not be run in'),
    })
  })
})
