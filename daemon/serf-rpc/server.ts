import { setMaxListeners } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Logger } from 'pino'
import { FleetError } from '../../protocol/index.ts'
import type { SerfBackend } from './backend.ts'
import { SERF_LIMITS } from './limits.ts'
import { serve } from './session.ts'

export interface SerfRpc {
  /** `HOST:PORT`, with the port that was picked. */
  readonly address: string
  /** Stops listening and ends every connection, after what has been sent was taken or SERF_LIMITS.farewell has passed. */
  close(): Promise<void>
}

export interface SerfRpcInit {
  readonly host: string
  readonly port: number
  /** What clients have to show; undefined: nothing. */
  readonly token: string | undefined
  readonly backend: SerfBackend
  readonly log: Logger
}

/** Serves Serf's RPC protocol, version 1. Throws `unavailable` when it cannot listen there. */
export async function createSerfRpc({ host, port, token, backend, log }: SerfRpcInit): Promise<SerfRpc> {
  const clients = new Set<Promise<void>>()
  const stopping = new AbortController()
  setMaxListeners(SERF_LIMITS.clients, stopping.signal)
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, socket => {
    // A broken connection ends the reading of it, which is where it is dealt with.
    socket.on('error', () => undefined)
    const served = serve({ socket, backend, token, log, stopping: stopping.signal }).finally(() =>
      clients.delete(served),
    )
    clients.add(served)
  })
  server.maxConnections = SERF_LIMITS.clients
  server.on('drop', () => log.debug(`more than ${SERF_LIMITS.clients} Serf clients at once: one was turned away`))
  await new Promise<void>((done, fail) => {
    server.once('error', error =>
      fail(
        new FleetError(
          'unavailable',
          `cannot listen for Serf clients on ${host}:${port}: ${error.message}; give --serf-rpc another address`,
          { cause: error },
        ),
      ),
    )
    server.listen({ host, port }, () => done())
  })
  server.on('error', error => log.error({ err: error }, 'listening for Serf clients failed'))
  const bound = server.address() as AddressInfo
  return {
    address: `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`,
    async close() {
      server.close()
      stopping.abort()
      await Promise.all(clients)
    },
  }
}
