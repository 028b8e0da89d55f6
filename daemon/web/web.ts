import { createServer } from 'node:http'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { toFleetError } from '../../protocol/index.ts'
import { type Api, listen } from '../api/index.ts'

/** Where the page is when nobody says otherwise. */
export const DEFAULT_WEB = '127.0.0.1:7980'
/** A browser opens six connections to a server, and few people look at one daemon at a time. */
const MAX_CONNECTIONS = 128

export interface Web {
  /** `HOST:PORT`, with the port that was picked. */
  readonly address: string
  close(): Promise<void>
}

export interface WebInit {
  /** `HOST:PORT` on loopback, `off`, or undefined for the usual place. */
  readonly address: string | undefined
  readonly api: Pick<Api, 'answer'>
  /** Where the built page lies; beside the program where it is not given. */
  readonly directory?: string
  readonly log: Logger
}

/**
 * `--web`: serves the page. Undefined when it is off, and when the usual place is taken and nobody asked for the page: a second
 * daemon on a host is no mistake. Throws `unavailable` when the address that was asked for is taken.
 */
export async function serveWeb({ address, api, directory, log }: WebInit): Promise<Web | undefined> {
  if (address === 'off') return undefined
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 })
  server.maxConnections = MAX_CONNECTIONS
  server.on('request', (request, response) => {
    const site = import('./site.ts')
    site
      .then(({ serve }) => serve(request, response, { api, directory: directory ?? join(import.meta.dirname, 'page') }))
      .catch(error => {
        log.error({ err: error }, 'a request for the page failed')
        response.destroy()
      })
  })
  let bound: string
  try {
    bound = await listen(server, address ?? DEFAULT_WEB, { flag: '--web' })
  } catch (error) {
    if (address !== undefined) throw error
    log.info(`the web page is not served: ${toFleetError(error).message}`)
    return undefined
  }
  server.on('error', error => log.error({ err: error }, `the web page on ${bound} failed`))
  return {
    address: bound,
    close() {
      const closed = new Promise<void>(done => void server.close(() => done()))
      server.closeAllConnections()
      return closed
    },
  }
}
