import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request } from 'node:http'
import { createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Api, createApi } from '../../../daemon/api/index.ts'
import { FleetError, HTTP_STATUS, ROUTES } from '../../../protocol/index.ts'
import { amongCollections } from '../../support/collect.ts'
import { eventually } from '../../support/wait.ts'
import { ask, post } from './ask.ts'
import { type Fake, fakeService } from './fake-service.ts'

let dir: string
let fake: Fake
let api: Api
const log = pino({ level: 'silent' })

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fleetd-api-'))
  fake = fakeService()
  api = createApi({ service: fake.service, log, metrics: new Registry() })
})
afterEach(async () => {
  await api.close()
  await rm(dir, { recursive: true, force: true })
})

const socket = (): string => `unix:${join(dir, 'api.sock')}`

test('whoever says how long it waits is told before that what is lacking, though garbage is collected meanwhile', async () => {
  fake.service.ledger = (_group, signal) =>
    new Promise((_, fail) =>
      signal.addEventListener('abort', () => fail(new FleetError('no-quorum', 'too few voters answer')), {
        once: true,
      }),
    )
  const address = await api.listen(socket())
  const asked = ask(address, '/v1/ledger/web', { headers: { prefer: 'wait=1' } })
  expect((await amongCollections(asked)).status).toBe(HTTP_STATUS['no-quorum'])
})

test('the socket is for its owner alone', async () => {
  const address = await api.listen(socket())
  expect((await stat(address.slice(5))).mode & 0o777).toBe(0o600)
  expect((await ask(address, '/v1/info')).status).toBe(200)
})

test('a socket that a killed daemon left behind is replaced', async () => {
  const path = join(dir, 'api.sock')
  const server = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', server])
  expect((await stat(path)).isSocket()).toBe(true)
  await api.listen(`unix:${path}`)
  expect((await ask(`unix:${path}`, '/v1/info')).status).toBe(200)
})

test('a socket on which a daemon answers is left alone, and the error says so', async () => {
  await api.listen(socket())
  const second = createApi({ service: fake.service, log })
  await expect(second.listen(socket())).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('another daemon'),
  })
  await second.close()
  expect((await ask(socket(), '/v1/info')).status).toBe(200)
})

test('a file in the place of the socket is never removed', async () => {
  const path = join(dir, 'api.sock')
  await writeFile(path, 'precious')
  await expect(api.listen(`unix:${path}`)).rejects.toMatchObject({ code: 'conflict' })
})

test('a path that is too long for a socket is refused by name', async () => {
  await expect(api.listen(`unix:${join(dir, 'x'.repeat(120))}`)).rejects.toThrow(/bytes and the system allows/)
})

test('a taken port and an address that is not loopback are refused by name', async () => {
  const other = createSocketServer()
  await new Promise<void>(done => void other.listen(0, '127.0.0.1', done))
  const { port } = other.address() as { port: number }
  await expect(api.listen(`127.0.0.1:${port}`)).rejects.toThrow(/another program listens there/)
  await new Promise(done => void other.close(done))
  await expect(api.listen('0.0.0.0:0')).rejects.toMatchObject({ code: 'bad-input' })
})

test('a page whose name was rebound to loopback gets nothing', async () => {
  const address = await api.listen('127.0.0.1:0')
  for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'localhost.evil', '192.0.2.1']) {
    const answer = await ask(address, '/v1/info', { headers: { host } })
    expect(answer.status).toBe(403)
    expect(answer.body).not.toContain(fake.id)
  }
  expect((await ask(address, '/v1/info')).status).toBe(200)
  expect((await ask(address, '/v1/info', { headers: { host: 'localhost:1' } })).status).toBe(200)
})

test('a page of another site cannot make the daemon leave', async () => {
  const address = await api.listen('127.0.0.1:0')
  const headers = { origin: 'https://evil.example' }
  expect((await ask(address, '/v1/leave', { method: 'POST', headers })).status).toBe(403)
  expect(fake.left).toBe(false)
  const text = await ask(address, '/v1/tags', {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: '{"set":{}}',
  })
  expect(text.status).toBe(400)
  expect(text.type).not.toContain('access-control')
})

test('a body over the limit is refused without being read to its end', async () => {
  const address = await api.listen(socket())
  const answer = await post(address, '/v1/tags', { set: { a: 'x'.repeat(20_000) } })
  expect(answer.status).toBe(413)
  expect(answer.json().code).toBe('too-large')
})

test.each([
  ['no JSON', '/v1/tags', '{'],
  ['an unknown field', '/v1/tags', '{"sett":{}}'],
  ['a statement that is no base64url', '/v1/policy', '{"statement":"***"}'],
  ['a relative path', '/v1/images/build', '{"path":"x","name":"a","version":"b","kind":"tree"}'],
  ['a prototype', '/v1/tags', '{"__proto__":{"set":{}}}'],
])('%s is refused as bad input, in a problem document', async (_, path, body) => {
  const answer = await post(await api.listen(socket()), path, body)
  expect(answer.status).toBe(400)
  expect(answer.type).toContain('application/problem+json')
  expect(answer.json()).toMatchObject({ type: 'about:blank', code: 'bad-input', status: 400 })
})

test('what the router refuses is a problem document too', async () => {
  const address = await api.listen(socket())
  for (const path of [`/v1/images/${'x'.repeat(400)}`, '/v1/images/%ff', '/v1/images/%zz', '/v1/nothing'])
    expect((await ask(address, path)).json(), path).toMatchObject({ type: 'about:blank', status: expect.any(Number) })
})

test('an error of the service keeps its code, its sentence and its particulars', async () => {
  const address = await api.listen(socket())
  fake.failNext = new FleetError('conflict', 'generation 8 is active', { detail: { generation: 8 } })
  const answer = await ask(address, '/v1/info')
  expect(answer.status).toBe(409)
  expect(answer.json()).toMatchObject({
    code: 'conflict',
    detail: 'generation 8 is active',
    particulars: { generation: 8 },
  })
  expect((await ask(address, '/v1/nothing')).json().code).toBe('not-found')
  expect((await ask(address, '/v1/policy')).json().code).toBe('unclaimed')
})

test('a stream that fails before its first word answers with a plain status, and later with an event', async () => {
  const address = await api.listen(socket())
  const early = await post(address, '/v1/images/nothing/fetch', {})
  expect(early.status).toBe(404)
  await fake.service.buildImage(
    { path: '/x', name: 'a', version: '1', kind: 'tree', labels: {}, provenance: {} },
    () => undefined,
    AbortSignal.timeout(1_000),
  )
  const whole = await post(address, '/v1/images/a:1/fetch', {})
  expect(whole.type).toBe('text/event-stream')
  const events = [...whole.body.matchAll(/id: (\d+)\nevent: (\w+)/g)].map(([, id, event]) => `${id} ${event}`)
  expect(events).toEqual(['1 update', '2 result'])
})

test('who goes away in the middle of a stream ends the work behind it', async () => {
  const address = await api.listen(socket())
  const asked = request({ socketPath: address.slice(5), path: '/v1/rollouts/web/watch', agent: false })
  await new Promise<void>(done => {
    asked.once('response', response => response.once('data', () => done()))
    asked.end()
  })
  asked.destroy()
  await eventually('the watch to end', () => fake.aborted === 1)
})

test('of updates that nobody takes in only the newest is kept', async () => {
  const { serveStream } = await import('../../../daemon/api/stream.ts')
  const server = createServer((_request, response) => {
    void serveStream<number>(response, new AbortController().signal, async update => {
      for (let i = 0; i < 10_000; i++) update(i)
      return 'end'
    })
  })
  await new Promise<void>(done => void server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const { body } = await ask(`127.0.0.1:${port}`, '/')
  expect([...body.matchAll(/event: update\ndata: (\d+)/g)].map(match => match[1])).toEqual(['9999'])
  expect(body).toContain('event: result\ndata: "end"')
  await new Promise(done => void server.close(done))
})

test('a lossless stream tells every update, and cuts off who does not read, saying so', async () => {
  const { serveStream } = await import('../../../daemon/api/stream.ts')
  let told = 0
  let cut = false
  const server = createServer((incoming, response) => {
    const signal = new AbortController().signal
    const run = async (update: (update: unknown) => void): Promise<unknown> => {
      for (let i = 0; i < 10_000; i++) update(i)
      if (incoming.url === '/short') return 'end'
      while (!response.writableEnded) {
        update('x'.repeat(64 * 1024))
        told += 1
        await new Promise(done => setImmediate(done))
      }
      cut = true
      return undefined
    }
    void serveStream<unknown>(response, signal, run, { lossless: true })
  })
  await new Promise<void>(done => void server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const { body } = await ask(`127.0.0.1:${port}`, '/short')
  expect([...body.matchAll(/event: update\ndata: (\d+)/g)].map(match => Number(match[1]))).toEqual(
    Array.from({ length: 10_000 }, (_, i) => i),
  )
  expect(body).toContain('event: result\ndata: "end"')

  const asked = request({ host: '127.0.0.1', port, path: '/long', agent: false })
  const slow = await new Promise<NodeJS.ReadableStream>(done => {
    asked.once('response', done)
    asked.end()
  })
  await eventually('the cut', () => cut, { everyMs: 5 })
  let text = ''
  for await (const part of slow) text += String(part)
  expect([...text.matchAll(/event: update\ndata: "x/g)]).toHaveLength(told)
  expect(text).toMatch(/event: problem\ndata: .*"code":"unavailable".*\n\n$/)
  await new Promise(done => void server.close(done))
})

test('of a lossless stream a caller that is slow gets every update, and holds its source back meanwhile', async () => {
  const { serveStream } = await import('../../../daemon/api/stream.ts')
  const COUNT = 2_000
  let made = 0
  const server = createServer((_request, response) => {
    void serveStream<{ index: number; filler: string }>(
      response,
      new AbortController().signal,
      async update => {
        for (; made < COUNT; made++) await update({ index: made, filler: 'x'.repeat(10_000) })
        return 'end'
      },
      { lossless: true },
    )
  })
  await new Promise<void>(done => void server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const response = await new Promise<IncomingMessage>(done => request({ port, agent: false }, done).end())
  response.pause()
  // As far as the buffers of both ends go, and no further: twice the same means that it stands still.
  let before = -1
  await eventually('the source to be held back', () => {
    const still = made > 0 && made === before
    before = made
    return still
  })
  expect(made).toBeLessThan(COUNT)
  let body = ''
  for await (const part of response) body += part
  const indexes = [...body.matchAll(/"index":(\d+)/g)].map(match => Number(match[1]))
  expect(indexes).toEqual(Array.from({ length: COUNT }, (_, index) => index))
  await new Promise(done => void server.close(done))
})

test('events go over the API with their payloads as bytes, all of them and then the end', async () => {
  const address = await api.listen(socket())
  fake.authority = undefined
  const fired = await post(address, '/v1/events', { name: 'deploy', payload: 'djI', coalesce: true })
  expect(fired.json()).toMatchObject({ author: fake.id, seq: 1, cursor: 1 })
  expect(fake.events[0]).toMatchObject({ payload: Uint8Array.from(Buffer.from('v2')), coalesce: true })
  fake.deliver('second')
  const { body } = await ask(address, '/v1/events?since=0')
  expect([...body.matchAll(/event: (\w+)\ndata: (.*)/g)].map(match => [match[1], JSON.parse(match[2]!)])).toMatchObject(
    [
      ['update', { cursor: 1, payload: 'djI' }],
      ['update', { cursor: 2, payload: '' }],
      ['result', { cursor: 2 }],
    ],
  )
  for (const bad of [
    { name: '' },
    { name: 'a', payload: '!' },
    { name: 'a\u0000' },
    { name: 'a', payload: 'A'.repeat(87_400) },
  ])
    expect((await post(address, '/v1/events', bad)).status, JSON.stringify(bad).slice(0, 40)).toBe(400)
})

test('closing ends open streams and frees the socket', async () => {
  const address = await api.listen(socket())
  const watching = ask(address, '/v1/rollouts/web/watch').catch(error => error as Error)
  await eventually('the stream to be open', async () => (await ask(address, '/healthz')).status === 200)
  await api.close()
  await watching
  await expect(stat(address.slice(5))).rejects.toThrow()
  expect(api.addresses()).toEqual([])
})

test('health, readiness and metrics are where everybody looks for them', async () => {
  const address = await api.listen(socket())
  expect((await ask(address, '/healthz')).status).toBe(200)
  expect((await ask(address, '/readyz')).status).toBe(503)
  expect((await ask(address, '/metrics')).type).toContain('text/plain')
})

test('the description names every route, its parameters and its body', async () => {
  const address = await api.listen(socket())
  const description = JSON.parse((await ask(address, '/v1/openapi.json')).body) as {
    openapi: string
    paths: Record<string, Record<string, { parameters: { name: string }[]; requestBody?: unknown }>>
  }
  expect(description.openapi).toBe('3.1.0')
  for (const [name, route] of Object.entries(ROUTES)) {
    const [method, path] = name.split(' ') as [string, string]
    const operation = description.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
    expect(operation, name).toBeDefined()
    expect(operation?.requestBody !== undefined, name).toBe('body' in route)
  }
  const draft = description.paths['/v1/rollouts/{group}/draft']?.get
  expect(draft?.parameters.map(parameter => parameter.name)).toEqual(['group', 'layer', 'image', 'select'])
})
