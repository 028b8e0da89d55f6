import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { type FleetError, PROBLEM_TYPE, toFleetError, toProblem } from '../../protocol/index.ts'
import type { Access } from './access.ts'
import type { App } from './app.ts'
import { assertNotFromAPage, certified } from './guard.ts'
import { isUnix, listen } from './listen.ts'
import type { FleetService } from './service.ts'
import { createTokenCheck } from './token.ts'

/** One person and a few programs; more connections than that are a mistake. */
const MAX_CONNECTIONS = 256

const TIMEOUTS = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 }
/** Each side sends a few kilobytes. Milliseconds. */
const HANDSHAKE_TIMEOUT = 10_000

export interface Api {
  /**
   * Starts serving on `unix:PATH` or `HOST:PORT`; may be called several times. Gives the address with the port that was picked, as
   * `https://HOST:PORT` where it is served over TLS.
   */
  listen(address: string): Promise<string>
  /** Answers a request that came in elsewhere, and that whoever passes it on has let through. */
  answer(request: IncomingMessage, response: ServerResponse): void
  /** Where it serves now. */
  addresses(): readonly string[]
  /** Ends every stream, cuts every connection and stops listening. */
  close(): Promise<void>
}

export interface ApiInit {
  readonly service: FleetService
  readonly log: Logger
  /** What `/metrics` shows. */
  readonly metrics?: Registry
  /** With it every TCP address is served over TLS, to who shows the token. Without it they are on loopback, and ask for nothing. */
  readonly access?: Access | undefined
}

/** The local API, not listening yet. */
export function createApi(init: ApiInit): Api {
  const { log, access } = init
  let app: Promise<App> | undefined
  /** Most daemons are asked nothing for hours, and do without the routes until they are. */
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    app ??= import('./app.ts').then(({ createApp }) => createApp(init))
    app.then(
      loaded => loaded.answer(request, response),
      error => {
        log.error({ err: error }, 'the API could not be loaded')
        refuse(response, error)
      },
    )
  }

  const servers = new Map<Server | TlsServer, string>()
  // Node.js closes only those that have got as far as HTTP, and waits for handshakes that nobody goes on with.
  const connections = new Set<Socket>()
  // One for all addresses: who guesses at several has no more tries.
  const tcp = access === undefined ? PLAIN : guarded(access, log)
  return {
    async listen(address) {
      const { create, admit, scheme } = isUnix(address) ? SOCKET : tcp
      const server = create()
      server.maxConnections = MAX_CONNECTIONS
      server.on('connection', (socket: Socket) => {
        connections.add(socket)
        socket.once('close', () => connections.delete(socket))
      })
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        try {
          admit(request)
        } catch (error) {
          refuse(response, error)
          return
        }
        answer(request, response)
      })
      const bound = scheme + (await listen(server, address, { guarded: tcp !== PLAIN }))
      server.on('error', error => log.error({ err: error }, `the API on ${bound} failed`))
      servers.set(server, bound)
      return bound
    },
    answer,
    addresses: () => [...servers.values()],
    async close() {
      const closing = [...servers.keys()].map(server => new Promise<void>(done => void server.close(() => done())))
      for (const socket of connections) socket.destroy()
      servers.clear()
      await Promise.all(closing)
      await app?.then(loaded => loaded.close())
    },
  }
}

/** How connections are taken, and who is answered over them. */
interface Kind {
  create(): Server | TlsServer
  /** Throws why a request is not answered. */
  admit(request: IncomingMessage): void
  /** What stands in front of the address. */
  readonly scheme: '' | 'https://'
}

/** Who may open the socket is up to its permissions. */
const SOCKET: Kind = { create: () => createServer(TIMEOUTS), admit: () => undefined, scheme: '' }
/** TCP with nothing asked, on loopback. */
const PLAIN: Kind = { ...SOCKET, admit: request => assertNotFromAPage(request) }

function guarded(access: Access, log: Logger): Kind {
  const { identity } = access
  const check = createTokenCheck(access, log)
  const door = certified(identity.names)
  return {
    create: () =>
      createTlsServer({
        ...TIMEOUTS,
        key: identity.key,
        cert: identity.cert,
        minVersion: 'TLSv1.3',
        handshakeTimeout: HANDSHAKE_TIMEOUT,
      }),
    admit(request) {
      assertNotFromAPage(request, door)
      check(request)
    },
    scheme: 'https://',
  }
}

function refuse(response: ServerResponse, thrown: unknown): void {
  const error = toFleetError(thrown)
  const problem = toProblem(error)
  response
    .writeHead(problem.status, { 'content-type': PROBLEM_TYPE, connection: 'close', ...headersOf(error) })
    .end(JSON.stringify(problem))
}

/** What RFC 9110 (11.6.1, 10.2.3) wants with such an answer. */
function headersOf({ code, detail }: FleetError): Record<string, string> {
  if (code === 'unauthenticated') return { 'www-authenticate': 'Bearer realm="fleetd"' }
  return code === 'too-many' ? { 'retry-after': String(detail.retryAfter) } : {}
}
