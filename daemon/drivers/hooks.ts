import { spawn } from 'node:child_process'
import type { HookAnswer } from './driver.ts'

const BUSY = 75 // EX_TEMPFAIL, sysexits.h
const KEPT_OUTPUT = 4 * 1024

export interface HookRun {
  readonly command: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly timeout: number
  readonly signal: AbortSignal
}

/** Runs a shell command line and says how it ended. Its output's tail is part of the reason. Never throws. */
export function runHook({ command, cwd, env, timeout, signal }: HookRun): Promise<HookAnswer> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve({ answer: 'failed', reason: 'it was cancelled' })
    let output = ''
    let ended = 'it was killed'
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const kill = (why: string): void => {
      ended = why
      if (child.pid !== undefined) {
        try {
          process.kill(-child.pid, 'SIGKILL')
        } catch {
          // It has just ended by itself.
        }
      }
    }
    const cancelled = (): void => kill('it was cancelled')
    const timer = setTimeout(() => kill(`it did not end within ${timeout / 1000} s`), timeout)
    signal.addEventListener('abort', cancelled, { once: true })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', chunk => {
        output = (output + chunk).slice(-KEPT_OUTPUT)
      })
    }
    const finish = (answer: HookAnswer['answer'], why: string): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', cancelled)
      const tail = output.trim().split('\n').at(-1) ?? ''
      resolve({ answer, reason: tail === '' ? why : `${why}: ${tail}` })
    }
    child.once('error', error => finish('failed', `${command}: ${error.message}`))
    child.once('close', code => {
      if (code === 0) finish('ok', 'exit 0')
      else if (code === BUSY) finish('busy', 'exit 75')
      else finish('failed', code === null ? ended : `exit ${code}`)
    })
  })
}
