import type { RequestListener } from 'node:http'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import * as z from 'zod'
import {
  check,
  type DownloadName,
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
import { timeLimit } from '../time-limit.ts'
import type { ApiInit } from './api.ts'
import { sendDownload } from './download.ts'
import { openapi } from './openapi.ts'
import { type Answers, answersOf, type Downloads, downloadsOf, type Streams, streamsOf } from './routes.ts'
import { serveStream } from './stream.ts'

const MAX_BODY = 16 * 1024

/** What answers requests, whichever server they came in by. */
export interface App {
  readonly answer: RequestListener
  /** `METHOD PATH` of everything that is answered here. */
  readonly routes: readonly string[]
  close(): Promise<void>
}

/** The routes. Fastify and what it compiles for them take some 3 MB, so this module is loaded by whoever is asked something. */
export async function createApp({ service, log, metrics }: ApiInit): Promise<App> {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    bodyLimit: MAX_BODY,
    routerOptions: { maxParamLength: 300 },
    // What the router itself refuses: a path that is no UTF-8, a parameter that is too long.
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, fromFastify(error), log),
  })
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => void routes.push(`${method} ${url}`))
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

  const downloads: Downloads = downloadsOf(service)
  for (const name of Object.keys(downloads) as DownloadName[]) serveDownload(app, name, downloads, log)

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
  return { answer: app.routing, routes, close: () => app.close() }
}

function serveAnswer<N extends PlainName>(app: FastifyInstance, name: N, answers: Answers): void {
  const route: Route = ROUTES[name]
  app.route({
    ...place(name, route),
    handler: async (request, reply) => answers[name](receive(route, request) as never, patienceOf(request, reply)),
  })
}

function serveStreamAt<N extends StreamName>(app: FastifyInstance, name: N, streams: Streams): void {
  const route: Route = ROUTES[name]
  app.route({
    ...place(name, route),
    handler: async (request, reply) => {
      const received = receive(route, resumed(route, request))
      const signal = goneSignal(reply)
      reply.hijack()
      await serveStream(reply.raw, signal, update => streams[name](received as never, update as never, signal), {
        lossless: route.lossless === true,
        ...(route.resume === undefined ? {} : { idOf: data => (data as { cursor?: number }).cursor }),
      })
    },
  })
}

/** A caller that lost a stream names the last id that it got (HTML standard, 9.2.4); it goes on behind that. */
function resumed({ resume }: Route, request: FastifyRequest): Pick<FastifyRequest, 'params' | 'query' | 'body'> {
  const last = request.headers['last-event-id']
  const { params, query, body } = request
  if (resume === undefined || last === undefined) return request
  return { params, query: { ...(query as object), [resume]: last }, body }
}

function serveDownload<N extends DownloadName>(app: FastifyInstance, name: N, downloads: Downloads, log: Logger): void {
  const route: Route = ROUTES[name]
  app.route({
    ...place(name, route),
    handler: async (request, reply) => {
      const signal = goneSignal(reply)
      const download = await downloads[name](receive(route, request) as never, signal)
      reply.hijack()
      await sendDownload(reply.raw, download, signal, log)
    },
  })
}

function place(name: string, route: Route): { method: 'GET' | 'POST'; url: string; bodyLimit: number } {
  const [method, url] = name.split(' ') as ['GET' | 'POST', string]
  return { method, url, bodyLimit: route.maxBody ?? MAX_BODY }
}

/** Checks what came in against the table. Throws `bad-input` naming the field. */
function receive(route: Route, request: Pick<FastifyRequest, 'params' | 'query' | 'body'>): Record<string, unknown> {
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

/** The caller waits for so many seconds (RFC 7240). */
const WAIT = /(?:^|[,;\s])wait=(\d{1,5})(?:$|[,;\s])/
/** Of the time that the caller waits, how much is left for the answer to be made and to get there. */
const TO_ANSWER = 0.15

/** Aborts when the caller has gone away, and shortly before it gives up where it says when that is: who found no quorum by then says so. */
function patienceOf(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const [, seconds] = WAIT.exec(String(request.headers.prefer ?? '')) ?? []
  const gone = goneSignal(reply)
  if (seconds === undefined) return gone
  return timeLimit(Number(seconds) * 1_000 * (1 - TO_ANSWER), gone)
}

/** Aborts when the caller has gone away; also when it has its answer, and nobody listens any more. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
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
