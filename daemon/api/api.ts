import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import * as z from 'zod'
import {
  check,
  FleetError,
  HTTP_STATUS,
  type PlainName,
  PROBLEM_TYPE,
  ROUTES,
  type Route,
  type StreamName,
  toFleetError,
  toProblem,
} from '../../protocol/index.ts'
import { assertNotFromAPage } from './guard.ts'
import { isUnix, listen } from './listen.ts'
import { openapi } from './openapi.ts'
import { type Answers, answersOf, type Streams, streamsOf } from './routes.ts'
import type { FleetService } from './service.ts'
import { serveStream } from './stream.ts'

const MAX_BODY = 16 * 1024
/** One person and a few programs on this host; more connections than that are a mistake. */
const MAX_CONNECTIONS = 256

export interface Api {
  /** Starts serving on `unix:PATH` or `HOST:PORT`; may be called several times. Gives the address with the port that was picked. */
  listen(address: string): Promise<string>
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
export async function createApi({ service, log, metrics }: ApiInit): Promise<Api> {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    bodyLimit: MAX_BODY,
    routerOptions: { maxParamLength: 300 },
  })
  // Only what a page cannot send to another site unasked.
  app.removeContentTypeParser('text/plain')
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, fromFastify(error), log))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      new FleetError('not-found', `there is no ${request.method} ${request.url.slice(0, 200)} here`),
      log,
    ),
  )

  const answers: Answers = answersOf(service)
  for (const name of Object.keys(answers) as PlainName[]) serveAnswer(app, name, answers)
  const streams: Streams = streamsOf(service)
  for (const name of Object.keys(streams) as StreamName[]) serveStreamAt(app, name, streams)

  app.get('/healthz', () => ({ ok: true }))
  app.get('/readyz', async (_request, reply) => {
    const readiness = await service.readiness()
    return reply.code(readiness.ready ? 200 : 503).send(readiness)
  })
  app.get('/v1/openapi.json', async () => openapi((await service.version()).version))
  if (metrics !== undefined) {
    app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
  }
  await app.ready()

  const servers = new Map<Server, string>()
  return {
    async listen(address) {
      const guarded = !isUnix(address)
      const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 })
      server.maxConnections = MAX_CONNECTIONS
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        if (guarded && !passes(request, response)) return
        app.routing(request, response)
      })
      const bound = await listen(server, address)
      server.on('error', error => log.error({ err: error }, `the API on ${bound} failed`))
      servers.set(server, bound)
      return bound
    },
    addresses: () => [...servers.values()],
    async close() {
      const closing = [...servers.keys()].map(server => new Promise<void>(done => void server.close(() => done())))
      for (const server of servers.keys()) server.closeAllConnections()
      servers.clear()
      await Promise.all(closing)
      await app.close()
    },
  }
}

function serveAnswer<N extends PlainName>(app: FastifyInstance, name: N, answers: Answers): void {
  const route: Route = ROUTES[name]
  app.route({
    ...place(name, route),
    handler: async (request, reply) => answers[name](receive(route, request) as never, goneSignal(reply)),
  })
}

function serveStreamAt<N extends StreamName>(app: FastifyInstance, name: N, streams: Streams): void {
  const route: Route = ROUTES[name]
  app.route({
    ...place(name, route),
    handler: async (request, reply) => {
      const received = receive(route, request)
      const signal = goneSignal(reply)
      reply.hijack()
      await serveStream(reply.raw, signal, update => streams[name](received as never, update as never, signal), {
        lossless: route.lossless === true,
      })
    },
  })
}

function place(name: string, route: Route): { method: 'GET' | 'POST'; url: string; bodyLimit: number } {
  const [method, url] = name.split(' ') as ['GET' | 'POST', string]
  return { method, url, bodyLimit: route.maxBody ?? MAX_BODY }
}

/** Checks what came in against the table. Throws `bad-input` naming the field. */
function receive(route: Route, request: FastifyRequest): Record<string, unknown> {
  const received: Record<string, unknown> = {}
  for (const part of ['params', 'query', 'body'] as const) {
    const schema = route[part]
    if (schema === undefined) continue
    const checked = check(schema, request[part])
    if (!checked.success) {
      const { path, message } = checked.objection
      throw new FleetError('bad-input', `${[part, ...path].join('.')}: ${message}`)
    }
    received[part] = checked.data
  }
  return received
}

/** Aborts when the caller has gone away; also when it has its answer, and nobody listens any more. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}

function passes(request: IncomingMessage, response: ServerResponse): boolean {
  try {
    assertNotFromAPage(request)
    return true
  } catch (error) {
    const problem = toProblem(toFleetError(error))
    response
      .writeHead(problem.status, { 'content-type': PROBLEM_TYPE, connection: 'close' })
      .end(JSON.stringify(problem))
    return false
  }
}

function sendProblem(reply: FastifyReply, error: FleetError, log: Logger): FastifyReply {
  if (error.code === 'internal') log.error({ err: error.cause ?? error }, 'a request failed')
  return reply
    .code(HTTP_STATUS[error.code])
    .type(PROBLEM_TYPE)
    .send(JSON.stringify(toProblem(error)))
}

/** Fastify's own refusals (a body too large, no JSON, an unknown content type) as ours. */
function fromFastify(error: unknown): FleetError {
  if (error instanceof FleetError) return error
  if (error instanceof z.ZodError) return new FleetError('bad-input', z.prettifyError(error))
  const status = (error as { statusCode?: unknown }).statusCode
  if (status === 413) return new FleetError('too-large', 'the body of the request is over the limit', { cause: error })
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new FleetError('bad-input', (error as Error).message, { cause: error })
  return toFleetError(error)
}
