import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCertificate } from '../../daemon/api/certificate.ts'
import { type CtlResult, type Daemon, FLEETD, fleetctl, type Sandbox, sandbox } from '../support/daemons.ts'

// The API over TCP as whoever comes from another host finds it: TLS, a token, and a certificate that is known by its fingerprint.

const TOKEN = 'f00dfeed'.repeat(8)

interface Info {
  readonly id: string
  readonly api: readonly string[]
  readonly apiFingerprint: string
}

let box: Sandbox
let daemon: Daemon
let info: Info
let address: string
let tokenFile: string

const secret = (name: string, content: string, mode = 0o600): string => {
  const path = join(box.dir, name)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}
const certFile = (): string => join(daemon.dir, 'api-cert.pem')

async function look(): Promise<void> {
  info = await daemon.json<Info>('info')
  address = info.api.find(each => each.startsWith('https://'))!
}

beforeAll(async () => {
  box = await sandbox()
  tokenFile = secret('token', `${TOKEN}\n`)
  daemon = await box.start({
    name: 'alpha',
    init: true,
    flags: ['--api', '127.0.0.1:0', '--api-token-file', tokenFile],
  })
  await look()
}, 120_000)
afterAll(() => box?.close())

const remote = (...args: string[]): Promise<CtlResult> =>
  fleetctl(['--api', address, '--api-token-file', tokenFile, '--api-fingerprint', info.apiFingerprint, ...args])

interface Reply {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly problem: { code?: string; detail?: string; id?: string }
}

/** Asks as a program that trusts the certificate in the data directory, and checks the name in it. */
const ask = (path: string, headers: Record<string, string>, body?: string): Promise<Reply> =>
  new Promise((done, fail) => {
    const { hostname, port } = new URL(address)
    const asked = request(
      {
        hostname,
        port,
        path,
        headers,
        method: body === undefined ? 'GET' : 'POST',
        ca: readFileSync(certFile()),
        agent: false,
        // Not what `Host` says, which some tests make up.
        servername: 'localhost',
      },
      answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', part => {
          text += part
        })
        answer.once('error', fail)
        answer.once('end', () =>
          done({ status: answer.statusCode!, headers: answer.headers, problem: JSON.parse(text) }),
        )
      },
    )
    asked.once('error', fail).end(body)
  })
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })

const refusedStart = async (...flags: string[]): Promise<{ code: number; stderr: string }> => {
  const args = ['--data-dir', join(box.dir, 'refused'), '--listen', '127.0.0.1:0', '--no-mdns', '--web', 'off']
  const failed = promisify(execFile)(process.execPath, [FLEETD, ...args, ...flags], { timeout: 60_000 })
  return failed.then(
    () => Promise.reject(new Error('it started')),
    error => error,
  )
}

test('fleetctl with the token and the fingerprint asks, changes and follows from elsewhere', async () => {
  const asked = await remote('--format', 'json', 'info')
  expect(asked.stderr).toBe('')
  expect(JSON.parse(asked.stdout)).toMatchObject({ id: info.id, apiFingerprint: info.apiFingerprint })
  expect((await remote('tags', '--set', 'from=afar')).code).toBe(0)
  expect((await daemon.json<{ tags: object }>('info')).tags).toEqual({ from: 'afar' })
  const followed = await remote('doctor')
  expect(followed.stdout).toContain('clock')

  const byVariables = await fleetctl(['--format', 'json', 'info'], {
    FLEETCTL_API: address,
    FLEETCTL_API_TOKEN_FILE: tokenFile,
    FLEETCTL_API_FINGERPRINT: `sha256:${info.apiFingerprint.replaceAll(':', '').toLowerCase()}`,
  })
  expect(JSON.parse(byVariables.stdout)).toMatchObject({ id: info.id })
})

test('the daemon says its fingerprint at the start, and has the same key and certificate after another', async () => {
  expect(daemon.log()).toContain(info.apiFingerprint)
  expect((await daemon.ctl('info')).stdout).toContain(info.apiFingerprint)
  const certificate = new X509Certificate(readFileSync(certFile()))
  expect(certificate.fingerprint256).toBe(info.apiFingerprint)
  expect(certificate.verify(certificate.publicKey)).toBe(true)
  expect(certificate.checkHost('alpha')).toBe('alpha')
  expect(statSync(join(daemon.dir, 'api-key.pem')).mode & 0o777).toBe(0o600)
  daemon = await daemon.restart()
  const before = info.apiFingerprint
  await look()
  expect(info.apiFingerprint).toBe(before)
  expect((await remote('info')).code).toBe(0)
})

test('who shows no token or a wrong one is told so in a problem document, and learns nothing', async () => {
  for (const path of ['/v1/info', '/healthz', '/metrics', '/v1/openapi.json', '/nothing']) {
    const { status, headers, problem } = await ask(path, {})
    expect(status).toBe(401)
    expect(headers).toMatchObject({
      'www-authenticate': 'Bearer realm="fleetd"',
      'content-type': 'application/problem+json',
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
    expect(problem).toMatchObject({
      status: 401,
      code: 'unauthenticated',
      detail: expect.stringContaining('asks for a token'),
    })
  }
  expect(await ask('/v1/info', bearer(`${TOKEN}0`))).toMatchObject({
    status: 401,
    problem: { code: 'unauthenticated', detail: expect.stringContaining('the token is wrong') },
  })
  expect(await ask('/v1/info', { authorization: `Basic ${TOKEN}` })).toMatchObject({ status: 401 })
  // Not even read: it is over the limit of every route.
  expect(await ask('/v1/tags', {}, 'x'.repeat(100_000))).toMatchObject({ status: 401 })
  expect(await ask('/v1/info', bearer(TOKEN))).toMatchObject({ status: 200, problem: { id: info.id } })

  const none = await fleetctl(['--api', address, '--api-fingerprint', info.apiFingerprint, 'info'])
  expect(none).toMatchObject({ code: 5, stderr: expect.stringMatching(/^fleetctl: info: .*--api-token-file FILE\n$/) })
})

test('the limits of the socket hold here too', async () => {
  const headers = { ...bearer(TOKEN), 'content-type': 'application/json' }
  const large = await ask('/v1/tags', headers, JSON.stringify({ set: { a: 'x'.repeat(20_000) } }))
  expect(large).toMatchObject({ status: 413, problem: { code: 'too-large' } })
})

test('a Host that is not ours and a page of another site are refused, token or no token', async () => {
  for (const host of ['evil.example', 'evil.example:443', 'alpha.evil.example', '127.0.0.1.evil.example', 'a\tb'])
    expect(await ask('/v1/info', { ...bearer(TOKEN), host })).toMatchObject({ status: 403 })
  expect(await ask('/v1/info', { ...bearer(TOKEN), origin: 'https://evil.example' })).toMatchObject({ status: 403 })
  for (const host of ['alpha', 'alpha:7981', 'localhost', '192.0.2.1:7981', '[2001:db8::1]:7981'])
    expect(await ask('/v1/info', { ...bearer(TOKEN), host })).toMatchObject({ status: 200 })
})

test('a handshake that nobody goes on with does not hold up a stop', async () => {
  const { hostname, port } = new URL(address)
  const silent = connect(Number(port), hostname)
  silent.on('error', () => undefined)
  await once(silent, 'connect')
  // It is answered behind that one, so that one has been taken by now.
  expect((await ask('/healthz', bearer(TOKEN))).status).toBe(200)
  const since = performance.now()
  daemon = await daemon.restart()
  silent.destroy()
  expect(daemon.log()).toContain('fleetd ready')
  await look()
  expect(performance.now() - since).toBeLessThan(9_000)
}, 60_000)

test('plain HTTP gets no answer from the port, and fleetctl says what to use', async () => {
  const { hostname, port } = new URL(address)
  const asked = new Promise((done, fail) => {
    plainRequest({ hostname, port, path: '/v1/info', headers: bearer(TOKEN), agent: false }, done)
      .once('error', fail)
      .end()
  })
  await expect(asked).rejects.toMatchObject({ code: 'ECONNRESET' })
  const plain = await fleetctl(['--api', `${hostname}:${port}`, 'info'])
  expect(plain.code).toBe(8)
  expect(plain.stderr).toContain(`use --api ${address}`)
})

test('a certificate that nobody vouches for is refused with its fingerprint, and taken from an authority of this host', async () => {
  const unknown = await fleetctl(['--api', address, '--api-token-file', tokenFile, 'info'])
  expect(unknown.code).toBe(5)
  expect(unknown.stderr).toContain(`give --api-fingerprint ${info.apiFingerprint}`)
  const trusted = await fleetctl(['--api', address, '--api-token-file', tokenFile, 'info'], {
    NODE_EXTRA_CA_CERTS: certFile(),
  })
  expect(trusted).toMatchObject({ code: 0, stderr: '' })
})

test('an impostor with another certificate is not sent a single byte, and is named', async () => {
  let received = 0
  let connections = 0
  const impostor = createServer({ ...makeCertificate(['127.0.0.1'], Date.now()) }, socket => {
    socket.on('data', part => {
      received += part.length
    })
    socket.on('error', () => undefined)
  })
  impostor.on('connection', () => {
    connections++
  })
  await new Promise<void>(done => void impostor.listen(0, '127.0.0.1', done))
  const { port } = impostor.address() as { port: number }
  const fooled = await fleetctl([
    ...['--api', `https://127.0.0.1:${port}`, '--api-token-file', tokenFile],
    ...['--api-fingerprint', info.apiFingerprint, 'info'],
  ])
  await new Promise(done => void impostor.close(done))
  expect(fooled).toMatchObject({ code: 5, stderr: expect.stringContaining('shows another certificate') })
  expect({ connections, received }).toEqual({ connections: 1, received: 0 })

  const noneAtAll = await fleetctl(['--api', address, '--api-fingerprint', 'AB:CD', 'info'])
  expect(noneAtAll).toMatchObject({ code: 2, stderr: expect.stringContaining('SHA-256') })
})

test('a token that others can read is taken by neither side', async () => {
  const open = secret('open', TOKEN, 0o644)
  const started = await refusedStart('--api', '127.0.0.1:0', '--api-token-file', open)
  expect(started.code).toBe(5)
  expect(started.stderr).toMatch(/^fleetd: the token .* can be read by others \(mode 644\); run: chmod 600 .*\n$/m)
  const asked = await fleetctl([
    '--api',
    address,
    '--api-token-file',
    open,
    '--api-fingerprint',
    info.apiFingerprint,
    'info',
  ])
  expect(asked).toMatchObject({ code: 5, stderr: expect.stringContaining('chmod 600') })
  const weak = await refusedStart('--api', '127.0.0.1:0', '--api-token-file', secret('weak', 'hunter2'))
  expect(weak).toMatchObject({ code: 2, stderr: expect.stringContaining('openssl rand -hex 32') })
}, 120_000)

test('an address for other hosts is refused without a token, in a sentence that says what to do', async () => {
  const refused = await refusedStart('--api', '0.0.0.0:0')
  expect(refused.code).toBe(2)
  expect(refused.stderr).toMatch(
    /^fleetd: api: 0\.0\.0\.0:0 can be reached from other hosts.*--api-token-file FILE.*loopback.*\n$/,
  )
}, 60_000)

test('a certificate that is given is shown, and one with the key of another is refused', async () => {
  const given = makeCertificate(['fleet.example'], Date.now())
  const cert = secret('given-cert.pem', given.cert)
  const flags = ['--api', '127.0.0.1:0', '--api-token-file', tokenFile, '--api-cert-file', cert, '--api-key-file']
  const other = await refusedStart(...flags, secret('other-key.pem', makeCertificate(['x'], Date.now()).key))
  expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('is not that of the certificate') })
  const second = await box.start({ name: 'given', flags: [...flags, secret('given-key.pem', given.key)] })
  const said = await second.json<Info>('info')
  expect(said.apiFingerprint).toBe(new X509Certificate(given.cert).fingerprint256)
  expect(existsSync(join(second.dir, 'api-key.pem'))).toBe(false)
  second.kill('SIGTERM')
  await second.exited()
}, 120_000)

// Last, for it locks this host out.
test('who guesses is not answered any more for a while, with the right token neither; the socket is', async () => {
  const answers: number[] = []
  for (let guess = 0; guess < 12; guess++) answers.push((await ask('/v1/info', bearer(`${TOKEN}${guess}`))).status)
  expect(answers.at(0)).toBe(401)
  expect(answers.at(-1)).toBe(429)
  const right = await ask('/v1/info', bearer(TOKEN))
  expect(right).toMatchObject({ status: 429, problem: { code: 'too-many' } })
  expect(Number(right.headers['retry-after'])).toBeGreaterThan(0)
  expect(daemon.log()).toContain('wrong tokens for the API came from 127.0.0.1')
  expect((await daemon.ctl('info')).code).toBe(0)
  rmSync(join(box.dir, 'refused'), { recursive: true, force: true })
})
