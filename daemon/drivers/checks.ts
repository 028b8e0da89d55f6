import http from 'node:http'
import https from 'node:https'
import { connect } from 'node:net'
import type { Health } from '../../protocol/index.ts'
import type { CheckConfig } from './config.ts'
import { runHook } from './hooks.ts'

export interface Checks {
  /** Begins anew: nothing is known until each check has run. */
  reset(cwd: string): void
  stop(): void
  health(): { health: Health; reason: string }
}

/** Runs every check at its interval. Passing: each has passed since the reset and none has failed as often in a row as it may. */
export function createChecks(
  configs: readonly CheckConfig[],
  env: Readonly<Record<string, string>>,
  onChange: () => void,
): Checks {
  let runs: { config: CheckConfig; failures: number; passed: boolean; reason: string }[] = []
  let life = new AbortController()

  const health = (): { health: Health; reason: string } => {
    const failing = runs.find(run => run.failures >= run.config.failures)
    if (failing !== undefined) return { health: 'failing', reason: `check ${failing.config.name}: ${failing.reason}` }
    const waiting = runs.find(run => !run.passed)
    if (waiting !== undefined) {
      return {
        health: 'unknown',
        reason: `check ${waiting.config.name} has not passed yet${waiting.reason === '' ? '' : `: ${waiting.reason}`}`,
      }
    }
    return { health: 'passing', reason: runs.length === 0 ? 'the program is running' : 'every check passes' }
  }

  const repeat = async (run: (typeof runs)[number], cwd: string, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const problem = await check(run.config, cwd, env, signal)
      if (signal.aborted) return
      const before = health()
      if (problem === undefined) {
        run.failures = 0
        run.passed = true
      } else run.failures += 1
      run.reason = problem ?? ''
      const after = health()
      if (after.health !== before.health || after.reason !== before.reason) onChange()
      await pause(run.config.interval, signal)
    }
  }

  return {
    health,
    reset(cwd) {
      life.abort()
      life = new AbortController()
      runs = configs.map(config => ({ config, failures: 0, passed: false, reason: '' }))
      for (const run of runs) void repeat(run, cwd, life.signal)
      onChange()
    },
    stop: () => life.abort(),
  }
}

/** One look. Resolves with what is wrong, or undefined. */
export async function check(
  config: CheckConfig,
  cwd: string,
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (config.http !== undefined) return checkHttp(config.http, config.timeout, signal)
  if (config.tcp !== undefined) return checkTcp(config.tcp, config.timeout, signal)
  const result = await runHook({ command: config.exec!, cwd, env, timeout: config.timeout, signal })
  return result.answer === 'ok' ? undefined : result.reason
}

function checkHttp(url: string, timeout: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise(resolve => {
    const { get } = url.startsWith('https:') ? https : http
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
    const request = get(url, { signal: bounded, agent: false, headers: { 'user-agent': 'fleetd' } }, response => {
      const { statusCode = 0 } = response
      response.resume()
      response.once('close', () =>
        resolve(statusCode >= 200 && statusCode < 400 ? undefined : `${url} answered ${statusCode}`),
      )
    })
    request.once('error', (error: NodeJS.ErrnoException) =>
      resolve(
        bounded.aborted ? `${url} did not answer within ${timeout} ms` : `${url}: ${error.code ?? error.message}`,
      ),
    )
  })
}

function checkTcp(target: string, timeout: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise(resolve => {
    const colon = target.lastIndexOf(':')
    const socket = connect({
      host: target.slice(0, colon).replace(/^\[|\]$/g, ''),
      port: Number(target.slice(colon + 1)),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    })
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(
        `${target}: ${error.name === 'AbortError' ? `no connection within ${timeout} ms` : (error.code ?? error.message)}`,
      ),
    )
  })
}

function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(done, time)
    signal.addEventListener('abort', done, { once: true })
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
