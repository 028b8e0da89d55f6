import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Logger } from 'pino'
import * as z from 'zod'
import { check, FleetError, HTTP_STATUS, LIMITS, toFleetError } from '../../protocol/index.ts'
import { assertNotFromAPage } from '../api/index.ts'
import type { Reboots } from '../rollout/index.ts'
import { timeLimit } from '../time-limit.ts'

const MAX_BODY = 4 * 1024
/** Shorter than any client waits: it is told what is the matter, and asks again. Milliseconds. */
const PATIENCE = 10_000

const bodySchema = z.object({
  client_params: z.object({
    id: z.string().min(1).max(LIMITS.name),
    group: z.string().regex(/^[a-zA-Z0-9.-]+$/, 'expected letters, digits, dots and dashes'),
  }),
})

export interface FleetLockInit {
  readonly reboots: Reboots
  /** The group that this host is of. */
  readonly group: () => string
  readonly log: Logger
}

export interface FleetLock {
  /** For tests: answers requests that did not come over a connection. */
  readonly app: FastifyInstance
  /** HOST:PORT on loopback. Gives it with the port that was picked. Throws `unavailable` when it cannot be had. */
  listen(address: string): Promise<string>
  close(): Promise<void>
}

/** The server of https://coreos.github.io/zincati/development/fleetlock/protocol for the clients of this host. */
export async function createFleetLock({ reboots, group, log }: FleetLockInit): Promise<FleetLock> {
  const app = fastify({ logger: false, exposeHeadRoutes: false, bodyLimit: MAX_BODY })
  app.addHook('onRequest', async request => {
    assertNotFromAPage(request.raw)
    if (request.headers['fleet-lock-protocol'] !== 'true')
      throw new FleetError('bad-input', 'the header "fleet-lock-protocol: true" is missing')
  })
  app.setErrorHandler((error, _request, reply) => refuse(reply, error, log))
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, new FleetError('not-found', `there is no ${request.method} ${request.url.slice(0, 200)} here`), log),
  )

  /** The client that asks. Throws `bad-input`, also for a client that believes the host to be of another group: it would count against another budget. */
  const holderOf = (body: unknown): string => {
    const checked = check(bodySchema, body)
    if (!checked.success)
      throw new FleetError('bad-input', `${checked.objection.path.join('.')}: ${checked.objection.message}`)
    const { client_params: asker } = checked.data
    if (asker.group !== group())
      throw new FleetError(
        'bad-input',
        `this host is of group ${group()}, not ${asker.group}; set the group of the client to it (Zincati: [identity] group)`,
      )
    return asker.id
  }

  const serve = (path: string, ask: (holder: string, signal: AbortSignal) => Promise<void>): void => {
    app.post(path, async (request, reply) => {
      await ask(holderOf(request.body), timeLimit(PATIENCE))
      return reply.code(200).send()
    })
  }
  serve('/v1/pre-reboot', reboots.lock)
  serve('/v1/steady-state', reboots.unlock)
  await app.ready()

  return {
    app,
    async listen(address) {
      const at = address.lastIndexOf(':')
      const host = address.slice(0, at).replace(/^\[|\]$/g, '')
      try {
        await app.listen({ host, port: Number(address.slice(at + 1)) })
      } catch (error) {
        throw new FleetError('unavailable', `--fleetlock ${address}: ${(error as Error).message}`, { cause: error })
      }
      const { port } = app.server.address() as { port: number }
      return `${address.slice(0, at)}:${port}`
    },
    close: () => app.close(),
  }
}

/** Errors as the protocol has them. */
function refuse(reply: FastifyReply, thrown: unknown, log: Logger): FastifyReply {
  const error = fromFastify(thrown)
  if (error.code === 'internal') log.error({ err: error.cause ?? error }, 'a request of FleetLock failed')
  return reply.code(HTTP_STATUS[error.code]).send({ kind: error.code.replaceAll('-', '_'), value: error.message })
}

/** Fastify's own refusals (a body too large, no JSON) are the client's mistakes. */
function fromFastify(thrown: unknown): FleetError {
  const status = (thrown as { statusCode?: unknown }).statusCode
  if (!(thrown instanceof FleetError) && typeof status === 'number' && status >= 400 && status < 500)
    return new FleetError(status === 413 ? 'too-large' : 'bad-input', (thrown as Error).message, { cause: thrown })
  return toFleetError(thrown)
}
