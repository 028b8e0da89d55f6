import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import fc from 'fast-check'
import pLimit from 'p-limit'
import { expect, test } from 'vitest'
import { problemSchema } from '../../protocol/api/problem.ts'
import { ask } from '../daemon/api/ask.ts'
import { type Call, callsOf, type Description } from '../daemon/api/calls.ts'
import { sandbox } from '../support/daemons.ts'

// `npm run fuzz:api` sends many more, by another seed each time.
const CALLS = Number(process.env.API_CALLS ?? 400)
const SEED = Number(process.env.API_SEED ?? (process.env.API_CALLS === undefined ? 1 : Date.now() % 2 ** 31))
/** How long a stream is read, and how long an answer is waited for. Milliseconds. */
const LOOK = 20
const PATIENCE = 500

test(`a daemon that is asked ${CALLS} things out of its own description, right and wrong, answers each with no status 500`, async () => {
  const box = await sandbox()
  try {
    const [daemon] = await box.fleet(1)
    const address = `unix:${daemon!.socket}`
    const description = (await ask(address, '/v1/openapi.json')).json() as unknown as Description
    expect((await new Validator().validate(description as never)).errors).toBeUndefined()

    const content = join(box.dir, 'content')
    mkdirSync(content)
    writeFileSync(join(content, 'index.html'), 'shop')
    // Nothing is read but what is here, nobody is dialled but this host, and the daemon stays.
    const tame = (name: string, body: unknown): unknown => {
      if (typeof body !== 'object' || body === null) return body
      const reads = name === 'POST /v1/images/build' || name === 'POST /v1/images/import'
      if (reads && typeof (body as { path?: unknown }).path === 'string') return { ...body, path: content }
      if (name === 'POST /v1/join' && 'addresses' in body && Array.isArray(body.addresses))
        return { ...body, addresses: body.addresses.map(each => (typeof each === 'string' ? '127.0.0.1:1' : each)) }
      return body
    }
    const calls = fc.sample(callsOf(description, ['POST /v1/leave'], tame), { numRuns: CALLS, seed: SEED })
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    const atOnce = pLimit(16)
    const statuses = new Map<string, number>()
    const wrong: string[] = []
    await Promise.all(
      calls.map(call =>
        atOnce(async () => {
          const { status, body } = await send(daemon!.socket, agent, call)
          statuses.set(`${status}`, (statuses.get(`${status}`) ?? 0) + 1)
          const sound = status === 200 || status === undefined || isProblem(status, body) || call.path === '/readyz'
          if (status === 500 || !sound) wrong.push(`${call.method} ${call.path} ${call.body}: ${status} ${body}`)
        }),
      ),
    )
    agent.destroy()
    if (process.env.API_CALLS !== undefined) console.log(`seed ${SEED}:`, Object.fromEntries(statuses))
    expect(wrong).toEqual([])
    // Most are refused, and many are not, or nothing behind the first check was reached.
    expect(statuses.get('200')).toBeGreaterThan(CALLS / 10)
    expect(statuses.get('400')).toBeGreaterThan(CALLS / 10)
    expect((await ask(address, '/healthz')).status).toBe(200)
    expect(daemon!.process.exitCode).toBeNull()
    expect(daemon!.log()).not.toMatch(/a request failed|nhandled/)
  } finally {
    await box.close()
  }
}, 3_600_000)

function isProblem(status: number, body: string): boolean {
  try {
    const problem = problemSchema.safeParse(JSON.parse(body))
    return problem.success && problem.data.status === status
  } catch {
    return false
  }
}

/** Gives the status and what came of the body in a short while; no status where the answer takes longer. */
function send(socketPath: string, agent: Agent, call: Call): Promise<{ status: number | undefined; body: string }> {
  return new Promise((done, fail) => {
    const headers = call.body === undefined ? {} : { 'content-type': 'application/json' }
    const asked = request({ socketPath, agent, method: call.method, path: call.path, headers })
    let body = ''
    let status: number | undefined
    const finish = (): void => {
      clearTimeout(timer)
      done({ status, body })
      if (!ended) asked.destroy()
    }
    let ended = false
    let timer = setTimeout(finish, PATIENCE)
    asked.once('response', response => {
      status = response.statusCode
      if (response.headers['content-type'] === 'text/event-stream') {
        clearTimeout(timer)
        timer = setTimeout(finish, LOOK)
      }
      response.on('data', part => {
        body += part
      })
      response.once('error', () => undefined)
      response.once('end', () => {
        ended = true
        finish()
      })
    })
    asked.once('error', error => {
      clearTimeout(timer)
      // One that we left ourselves is settled already.
      fail(new Error(`${call.method} ${call.path} ${call.body}: ${error.message}`, { cause: error }))
    })
    asked.end(call.body)
  })
}
