import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import pino from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundlePage } from '../../../build.mjs'
import { serveWeb } from '../../../daemon/web/index.ts'
import { READABLE } from '../../../daemon/web/site.ts'
import { ROUTES } from '../../../protocol/index.ts'
import { type Served, servePage } from './support.ts'

let served: Served
beforeAll(async () => {
  served = await servePage()
})
afterAll(() => served.close())

interface Answer {
  status: number
  headers: NodeJS.Dict<string | string[]>
  body: string
}

const ask = (path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> =>
  new Promise((done, fail) => {
    const asked = request({ host: '127.0.0.1', port: new URL(served.url).port, path, agent: false, ...options })
    asked.once('error', fail)
    asked.once('response', response => {
      let body = ''
      response.on('data', part => {
        body += part
      })
      response.once('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    asked.end()
  })

test('the page comes with a policy that lets it load nothing from elsewhere', async () => {
  const { status, headers, body } = await ask('/')
  expect(status).toBe(200)
  expect(body).toContain('page.js')
  const policy = String(headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toMatch(/unsafe|\*|http/)
  expect(headers['access-control-allow-origin']).toBeUndefined()
  expect((await ask('/page.js')).headers['content-type']).toContain('javascript')
  expect((await ask('/page.css', { method: 'HEAD' })).body).toBe('')
})

test('a whole page is under 150 KB compressed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fleetd-page-'))
  await bundlePage(directory)
  let size = 0
  for (const file of ['index.html', 'page.js', 'page.css', 'icon.svg'])
    size += gzipSync(await readFile(join(directory, file))).length
  await rm(directory, { recursive: true })
  expect(size).toBeLessThan(150_000)
})

test('what changes anything, the log and the policy are not reached from the page, under no spelling of the path', async () => {
  for (const name of Object.keys(ROUTES)) {
    const [method, path] = name.split(' ') as [string, string]
    if (READABLE.some(each => each === name)) {
      expect(method, name).toBe('GET')
      continue
    }
    const { status } = await ask(path.replaceAll(/:\w+/g, 'x'), { method })
    // `/v1/rollouts/x/draft` is no reading of `/v1/rollouts/:group`.
    expect(status, name).toBe(404)
  }
  for (const path of [
    '/v1/%6Donitor',
    '/v1/info/../monitor',
    '//v1/monitor',
    '/v1/rollouts/web%2Fdraft',
    '/v1/',
    '/metrics',
  ])
    expect((await ask(path)).status, path).toBe(404)
  expect((await ask('http://127.0.0.1/v1/info')).status).toBe(404)
  expect((await ask('/v1/info')).status).toBe(200)
})

test('a forged host and a page of another origin get nothing', async () => {
  const own = new URL(served.url).host
  const forged: Record<string, string>[] = [
    { host: 'evil.example' },
    { host: '127.0.0.1.evil.example' },
    { host: own, origin: 'https://evil.example' },
    { host: own, origin: 'null' },
    { host: own, origin: 'http://127.0.0.1:1' },
    { host: own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { host: own, 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' },
  ]
  for (const headers of forged)
    for (const path of ['/', '/page.js', '/v1/info', '/v1/members/watch']) {
      const { status, body } = await ask(path, { headers })
      expect(status, JSON.stringify(headers)).toBe(403)
      expect(body).not.toContain(served.fake.id)
    }
  const followed = { host: own, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  expect((await ask('/', { headers: followed })).status).toBe(200)
  expect((await ask('/v1/info', { headers: { host: own, 'sec-fetch-site': 'same-origin' } })).status).toBe(200)
})

test('a build without a page says so; a taken address is refused, and passed over when nobody asked for it', async () => {
  const init = { api: { answer: () => undefined }, log: pino({ level: 'silent' }) }
  const bare = (await serveWeb({ ...init, address: '127.0.0.1:0', directory: '/nonexistent' }))!
  const answer = await fetch(`http://${bare.address}/`)
  expect(answer.status).toBe(503)
  expect(await answer.text()).toContain('this build has no web page')
  await expect(serveWeb({ ...init, address: bare.address })).rejects.toThrow(/another program listens there.*--web/)
  await expect(serveWeb({ ...init, address: '0.0.0.0:0' })).rejects.toThrow(/loopback/)
  expect(await serveWeb({ ...init, address: 'off' })).toBeUndefined()
  await bare.close()
  const [first, second] = [
    await serveWeb({ ...init, address: undefined }),
    await serveWeb({ ...init, address: undefined }),
  ]
  expect(second).toBeUndefined()
  await first?.close()
})
