import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http'

/** What came back on a request. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  json(): { code: string; detail: string; [key: string]: unknown }
}

export interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | undefined
  /** Reads a stream only so far, and then goes away. */
  readonly until?: (body: string) => boolean
}

/** `unix:PATH` or `HOST:PORT`, as `node:http` takes it. */
export const target = (address: string): Pick<RequestOptions, 'socketPath' | 'host' | 'port'> =>
  address.startsWith('unix:')
    ? { socketPath: address.slice(5) }
    : { host: '127.0.0.1', port: Number(address.split(':').at(-1)) }

/** Asks once, over a connection of its own. Rejects when the connection breaks before the answer is whole. */
export function ask(address: string, path: string, options: Ask = {}): Promise<Answer> {
  return new Promise((done, fail) => {
    const { method = 'GET', headers = {} } = options
    const asked = request({ ...target(address), path, method, headers, agent: false })
    asked.once('error', fail)
    asked.once('response', response => {
      let body = ''
      const finish = (): void => {
        const { statusCode = 0, headers } = response
        const type = headers['content-type'] ?? ''
        done({ status: statusCode, type, headers, body, json: () => JSON.parse(body) })
      }
      response.on('data', part => {
        body += part
        if (options.until?.(body) !== true) return
        finish()
        asked.destroy()
      })
      response.once('error', fail) // the server may hang up in the middle of its answer
      response.once('end', finish)
    })
    asked.end(options.body)
  })
}

export const post = (address: string, path: string, body: unknown): Promise<Answer> =>
  ask(address, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
