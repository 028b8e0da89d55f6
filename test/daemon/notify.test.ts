import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { notify } from '../../daemon/notify.ts'

let dir: string
let warnings: string[]
const log = { warn: (_: unknown, message: string) => warnings.push(message) } as unknown as Logger

/** A `systemd-notify` that runs `script`, found before any other. */
const program = (script: string): void => {
  writeFileSync(join(dir, 'systemd-notify'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(dir, 'systemd-notify'), 0o755)
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-notify-'))
  warnings = []
  vi.stubEnv('PATH', `${dir}:/bin:/usr/bin`)
  vi.stubEnv('NOTIFY_SOCKET', join(dir, 'socket'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

it('tells systemd, at the socket that systemd named', async () => {
  program(`echo "$NOTIFY_SOCKET $*" >> ${dir}/told`)
  await notify('READY=1', log)
  await notify('STOPPING=1', log)
  expect(readFileSync(join(dir, 'told'), 'utf8')).toBe(`${dir}/socket READY=1\n${dir}/socket STOPPING=1\n`)
  expect(warnings).toEqual([])
})

it('says when a reload began, as Type=notify-reload wants it', async () => {
  program(`echo "$*" >> ${dir}/told`)
  const before = process.hrtime.bigint() / 1_000n
  await notify('RELOADING=1', log)
  const [, at] = /^RELOADING=1 MONOTONIC_USEC=(\d+)\n$/.exec(readFileSync(join(dir, 'told'), 'utf8')) ?? []
  expect(BigInt(at!) >= before && BigInt(at!) <= process.hrtime.bigint() / 1_000n).toBe(true)
})

it('asks nobody where no service manager listens', async () => {
  program(`echo asked >> ${dir}/told`)
  vi.stubEnv('NOTIFY_SOCKET', undefined)
  await notify('READY=1', log)
  expect(() => readFileSync(join(dir, 'told'))).toThrow(/ENOENT/)
})

it('says in the log that the program is missing, or failed, and goes on', async () => {
  vi.stubEnv('PATH', dir)
  await notify('READY=1', log)
  expect(warnings).toEqual([expect.stringMatching(/there is no systemd-notify to tell systemd READY=1/)])
  vi.stubEnv('PATH', `${dir}:/bin:/usr/bin`)
  program('exit 3')
  await notify('READY=1', log)
  expect(warnings[1]).toBe('could not tell systemd READY=1')
})
