import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { ImageStore } from '../../rollout/index.ts'
import { assertNotFromAPage, listen } from '../api/index.ts'
import type { Images } from '../images/index.ts'
import type { Pushes } from '../pushes/index.ts'
import { bodyOf, OciError, toOciError } from './errors.ts'
import { createLibrary } from './library.ts'
import { placeOf } from './names.ts'
import { createPublisher } from './publisher.ts'
import { createPull } from './pull.ts'
import { createPush, locationOf } from './push.ts'
import { openStaging } from './staging.ts'
import { createUploads, UPLOAD_LIMITS, type UploadLimits } from './uploads.ts'

/** Clients open a handful each. */
const MAX_CONNECTIONS = 256
/** A connection on which nothing has moved for this long is cut; a manifest of large layers takes a while to answer. Milliseconds. */
const SILENCE = 600_000
const SWEEP_EVERY = 60_000

export interface RegistryInit {
  /** Where uploads are kept until a manifest names them. */
  readonly directory: string
  readonly store: ImageStore
  readonly images: Images
  readonly pushes: Pushes
  readonly assertMayPush: () => void
  readonly limits?: UploadLimits
  readonly log: Logger
}

export interface Registry {
  /** For tests: answers requests that did not come over a connection. */
  readonly app: FastifyInstance
  /** HOST:PORT on loopback. Gives it with the port that was picked. */
  listen(address: string): Promise<string>
  close(): Promise<void>
}

/** A registry of the OCI distribution-spec over the images of the fleet (docs/oci.md says what of it is here). */
export async function createRegistry(init: RegistryInit): Promise<Registry> {
  const { store, images, pushes, log } = init
  const stopping = new AbortController()
  const staging = await openStaging(join(init.directory, 'oci'))
  const uploads = createUploads(staging, locationOf, init.limits ?? UPLOAD_LIMITS)
  const library = createLibrary({ store, images, pushes, log })
  const publisher = createPublisher({ store, staging, library, pushes, signal: stopping.signal })
  const pull = createPull({ library, staging, pushes })
  const push = createPush({ uploads, staging, library, publisher, assertMayPush: init.assertMayPush })

  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 2048 },
    // A path that cannot be decoded does not get as far as a route.
    frameworkErrors: (error, request, reply) =>
      void refuse(reply, request, new OciError(400, 'NAME_INVALID', error.message), log),
  })
  // Bodies are streams, whatever they say they are: nothing is read before it is known where to put it.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', async (request, reply) => {
    reply.header('docker-distribution-api-version', 'registry/2.0')
    assertNotFromAPage(request.raw)
  })
  app.setErrorHandler((error, request, reply) => refuse(reply, request, toOciError(error), log))
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, request, new OciError(404, 'UNSUPPORTED', 'this is a registry: all of it is below /v2/'), log),
  )
  app.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    url: '/v2/*',
    handler: (request, reply) => answer(request, reply),
  })
  app.get('/v2', (_request, reply) => reply.send({}))

  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const [path = '', query] = request.url.split('?', 2)
    const place = placeOf(path, new URLSearchParams(query).get('ns') ?? undefined)
    const { method } = request
    const reads = method === 'GET' || method === 'HEAD'
    switch (place.type) {
      case 'base':
        if (reads) return reply.send({})
        break
      case 'manifest':
        if (reads) return pull.manifest(request, reply, place.repository, place.reference)
        if (method === 'PUT') return push.manifest(request, reply, place.repository, place.reference)
        if (method === 'DELETE') return push.remove(reply, place.repository, place.reference)
        break
      case 'blob':
        if (reads) return pull.blob(request, reply, place.repository, place.digest)
        break
      case 'uploads':
        if (method === 'POST') return push.begin(request, reply, place.repository)
        break
      case 'upload':
        if (method === 'GET') return push.status(reply, place.repository, place.id)
        if (method === 'PATCH') return push.append(request, reply, place.repository, place.id)
        if (method === 'PUT') return push.finish(request, reply, place.repository, place.id)
        if (method === 'DELETE') return push.cancel(reply, place.repository, place.id)
        break
      case 'tags':
        if (method === 'GET') return pull.tags(request, reply, place.repository)
        break
      case 'referrers':
        if (method === 'GET') return pull.referrers(request, reply, place.repository, place.digest)
        break
      default:
        return place satisfies never
    }
    throw new OciError(405, 'UNSUPPORTED', `${method} is not offered for a ${place.type}`)
  }

  await app.ready()
  const sweeping = setInterval(() => {
    Promise.all([uploads.sweep(Date.now()), staging.sweep(Date.now())]).catch(error =>
      log.error({ err: error }, 'what was left behind by uploads could not be cleared away'),
    )
  }, SWEEP_EVERY)
  let server: Server | undefined

  return {
    app,
    async listen(address) {
      // Uploads take as long as they take; silence is what ends them (UPLOAD_LIMITS).
      server = createServer({ requestTimeout: 0, headersTimeout: 10_000, keepAliveTimeout: 60_000 }, app.routing)
      server.maxConnections = MAX_CONNECTIONS
      server.timeout = SILENCE
      const bound = await listen(server, address)
      server.on('error', error => log.error({ err: error }, `the registry on ${bound} failed`))
      return bound
    },
    async close() {
      stopping.abort()
      clearInterval(sweeping)
      const closed = new Promise<void>(done => (server === undefined ? done() : void server.close(() => done())))
      server?.closeAllConnections()
      await closed
      await app.close()
      await uploads.close()
    },
  }
}

function refuse(reply: FastifyReply, request: FastifyRequest, error: OciError, log: Logger): FastifyReply {
  if (error.status >= 500)
    log.error(
      { err: error.cause ?? error, url: request.url.slice(0, 200) },
      `a request to the registry failed: ${error.message}`,
    )
  return reply
    .code(error.status)
    .removeHeader('cache-control')
    .removeHeader('etag')
    .headers({ ...error.headers, 'content-type': 'application/json' })
    .send(Buffer.from(bodyOf(error)))
}
