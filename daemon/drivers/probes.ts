import http from 'node:http'
import https from 'node:https'
import { connect } from 'node:net'
import type { CheckConfig } from './config.ts'
import { withDeadline } from './deadline.ts'
import { runHook } from './hooks.ts'

/** Bytes of an answer that are read; what comes after them does not matter. */
const MAX_BODY = 16 * 1024

/** Where and with what the commands of a check run. */
export interface ProbeSetting {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** One look: resolves, never later than its timeout, with what is wrong in one sentence, or undefined when it passed. Never throws. */
export async function probe(
  check: CheckConfig,
  { cwd, env }: ProbeSetting,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { timeout } = check
  if (check.http !== undefined) {
    const url = check.http
    return withDeadline(signal, timeout, bounded => probeHttp(url, timeout, bounded))
  }
  if (check.tcp !== undefined) {
    const target = check.tcp
    return withDeadline(signal, timeout, bounded => probeTcp(target, timeout, bounded))
  }
  const result = await runHook({ command: check.exec!, cwd, env, timeout, signal })
  return result.answer === 'ok' ? undefined : `${check.exec}: ${result.reason}`
}

/** Passes on a 2xx or 3xx answer that comes whole within the deadline; redirections are not followed. */
function probeHttp(url: string, timeout: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise(resolve => {
    const late = `${url} did not answer within ${timeout} ms`
    const { get } = url.startsWith('https:') ? https : http
    // A connection of its own each time: one that is kept would say nothing of whether new ones are taken.
    const request = get(url, { signal, agent: false, headers: { 'user-agent': 'fleetd' } }, response => {
      const { statusCode = 0 } = response
      const verdict = statusCode >= 200 && statusCode < 400 ? undefined : `${url} answered ${statusCode}`
      let received = 0
      response.on('data', (chunk: Buffer) => {
        received += chunk.byteLength
        if (received < MAX_BODY) return
        resolve(verdict)
        request.destroy()
      })
      response.once('end', () => resolve(verdict))
      response.once('error', error => resolve(signal.aborted ? late : `${url} broke off its answer: ${error.message}`))
    })
    request.once('error', error => resolve(signal.aborted ? late : `${url}: ${textOf(error)}`))
  })
}

/** Passes when a connection is accepted. */
function probeTcp(target: string, timeout: number, signal: AbortSignal): Promise<string | undefined> {
  return new Promise(resolve => {
    const colon = target.lastIndexOf(':')
    const host = target.slice(0, colon).replace(/^\[|\]$/g, '')
    const socket = connect({ host, port: Number(target.slice(colon + 1)), signal })
    socket.once('connect', () => {
      resolve(undefined)
      socket.destroy()
    })
    socket.once('error', error =>
      resolve(signal.aborted ? `${target}: no connection within ${timeout} ms` : `${target}: ${textOf(error)}`),
    )
  })
}

function textOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNREFUSED') return 'nothing listens there (ECONNREFUSED)'
  return error.code ?? error.message
}
