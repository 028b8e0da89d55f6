import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { probe } from '../../../daemon/drivers/probes.ts'
import { freePort } from '../../support/daemons.ts'
import { never, parse } from './support.ts'

const open: (Server | TcpServer)[] = []
afterEach(async () => {
  for (const server of open.splice(0)) {
    if ('closeAllConnections' in server) server.closeAllConnections()
    await new Promise(done => server.close(done))
  }
})

async function listen(server: Server | TcpServer): Promise<number> {
  open.push(server)
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return (server.address() as AddressInfo).port
}

const look = (check: Record<string, unknown>, signal = never): Promise<string | undefined> => {
  const config = parse({ driver: 'process', command: ['x'], checks: [{ name: 'c', timeout: '10s', ...check }] })
  return probe(config.checks[0]!, { cwd: tmpdir(), env: { WORD: 'hello' } }, signal)
}

describe('an http check', () => {
  const answering = async (status: number, body = 'ok'): Promise<string> => {
    const port = await listen(createServer((_, response) => response.writeHead(status).end(body)))
    return `http://127.0.0.1:${port}/healthz`
  }

  it.each([200, 204, 302])('passes on %i', async status => {
    expect(await look({ http: await answering(status) })).toBeUndefined()
  })

  it.each([404, 500, 503])('says that the answer was %i', async status => {
    const url = await answering(status)
    expect(await look({ http: url })).toBe(`${url} answered ${status}`)
  })

  it('passes on an answer that never ends, having read enough of it', async () => {
    const port = await listen(
      createServer((_, response) => {
        const timer = setInterval(() => response.write('x'.repeat(10_000)), 1)
        response.once('close', () => clearInterval(timer))
      }),
    )
    expect(await look({ http: `http://127.0.0.1:${port}/` })).toBeUndefined()
  })

  it('says that nothing listens', async () => {
    const url = `http://127.0.0.1:${await freePort()}/`
    expect(await look({ http: url })).toBe(`${url}: nothing listens there (ECONNREFUSED)`)
  })

  it.each([
    ['no answer came', () => undefined],
    ['the answer stopped in its middle', (response: import('node:http').ServerResponse) => response.write('half')],
  ])('says that %s in time', async (_, answer) => {
    const port = await listen(createServer((_request, response) => void answer(response)))
    const url = `http://127.0.0.1:${port}/`
    expect(await look({ http: url, timeout: '100ms' })).toBe(`${url} did not answer within 100 ms`)
  })

  it('says that the answer broke off', async () => {
    const port = await listen(
      createServer((_, response) => {
        response.writeHead(200, { 'content-length': 100 })
        response.write('half', () => response.destroy())
      }),
    )
    expect(await look({ http: `http://127.0.0.1:${port}/` })).toContain('broke off its answer')
  })

  it('fails on what does not speak HTTP', async () => {
    const port = await listen(createTcpServer(socket => socket.resume().end('SSH-2.0-OpenSSH\r\n')))
    expect(await look({ http: `http://127.0.0.1:${port}/` })).toContain('HPE_')
  })
})

describe('a tcp check', () => {
  it('passes when a connection is accepted, and closes it', async () => {
    let closed: () => void
    const over = new Promise<void>(resolve => {
      closed = resolve
    })
    const port = await listen(
      createTcpServer(socket =>
        socket
          .resume()
          .on('error', () => undefined)
          .once('close', closed),
      ),
    )
    expect(await look({ tcp: `127.0.0.1:${port}` })).toBeUndefined()
    await over
  })

  it('says that nothing listens', async () => {
    const port = await freePort()
    expect(await look({ tcp: `127.0.0.1:${port}` })).toBe(`127.0.0.1:${port}: nothing listens there (ECONNREFUSED)`)
  })

  it('takes an IPv6 host in brackets', async () => {
    expect(await look({ tcp: `[::1]:${await freePort()}` })).toMatch(/^\[::1\]:\d+: /)
  })

  it('is over when it is cancelled', async () => {
    const abort = new AbortController()
    abort.abort()
    const port = await listen(createTcpServer(socket => socket.resume().on('error', () => undefined)))
    expect(await look({ tcp: `127.0.0.1:${port}` }, abort.signal)).toContain('no connection')
    connect(port, '127.0.0.1').destroy()
  })
})

describe('an exec check', () => {
  it('passes on exit 0, in the environment of its layer', async () => {
    expect(await look({ exec: 'test "$WORD" = hello' })).toBeUndefined()
  })

  it('says with what it exited, and its last line', async () => {
    expect(await look({ exec: 'echo queue is 900 long; exit 2' })).toBe(
      'echo queue is 900 long; exit 2: exit 2: queue is 900 long',
    )
  })

  it('says that it took too long', async () => {
    expect(await look({ exec: 'sleep 600', timeout: '50ms' })).toBe('sleep 600: it did not end within 0.05 s')
  })
})
