import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { PROBLEM_TYPE, toFleetError, toProblem } from '../../protocol/index.ts'
import type { App } from './app.ts'
import { assertNotFromAPage } from './guard.ts'
import { isUnix, listen } from './listen.ts'
import type { FleetService } from './service.ts'

/** One person and a few programs on this host; more connections than that are a mistake. */
const MAX_CONNECTIONS = 256

export interface Api {
  /** Starts serving on `unix:PATH` or `HOST:PORT`; may be called several times. Gives the address with the port that was picked. */
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
}

/** The local API, not listening yet. */
export function createApi(init: ApiInit): Api {
  const { log } = init
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

  const servers = new Map<Server, string>()
  return {
    async listen(address) {
      const guarded = !isUnix(address)
      const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 })
      server.maxConnections = MAX_CONNECTIONS
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        if (guarded && !passes(request, response)) return
        answer(request, response)
      })
      const bound = await listen(server, address)
      server.on('error', error => log.error({ err: error }, `the API on ${bound} failed`))
      servers.set(server, bound)
      return bound
    },
    answer,
    addresses: () => [...servers.values()],
    async close() {
      const closing = [...servers.keys()].map(server => new Promise<void>(done => void server.close(() => done())))
      for (const server of servers.keys()) server.closeAllConnections()
      servers.clear()
      await Promise.all(closing)
      await app?.then(loaded => loaded.close())
    },
  }
}

function passes(request: IncomingMessage, response: ServerResponse): boolean {
  try {
    assertNotFromAPage(request)
    return true
  } catch (error) {
    refuse(response, error)
    return false
  }
}

function refuse(response: ServerResponse, error: unknown): void {
  const problem = toProblem(toFleetError(error))
  response.writeHead(problem.status, { 'content-type': PROBLEM_TYPE, connection: 'close' }).end(JSON.stringify(problem))
}
