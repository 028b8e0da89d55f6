import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

/** What a process that logs and is then killed has left on stderr and stdout. */
async function logged(level: string, format: string): Promise<{ stderr: string; stdout: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'log-child.ts'), level, format])
  const [stderr, stdout] = await Promise.all([text(child.stderr), text(child.stdout), once(child, 'exit')])
  return { stderr, stdout }
}

it('writes an object a line to stderr, and has it out before a crash', async () => {
  const { stderr, stdout } = await logged('info', 'json')
  expect(stdout).toBe('')
  const lines = stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  expect(lines).toMatchObject([
    { level: 'info', layer: 'app', msg: 'fleetd ready' },
    { level: 'error', layer: 'web', msg: 'it failed', err: { code: 'no-space', message: 'the disk is full' } },
  ])
  for (const { time } of lines) expect(new Date(time as string).toISOString()).toBe(time)
})

it('writes lines for people to stderr, without colours where there is no terminal', async () => {
  const { stderr, stdout } = await logged('debug', 'pretty')
  expect(stdout).toBe('')
  expect(stderr).toContain('a detail')
  expect(stderr).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: fleetd ready \{"layer":"app"\}$/m)
  expect(stderr).toContain('the disk is full')
  expect(stderr).not.toContain('\u001b')
})
