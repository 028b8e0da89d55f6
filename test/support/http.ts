import { request } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** GET from a daemon's socket. */
export function fetchFrom(socketPath: string, path: string): Promise<HttpAnswer> {
  return new Promise((done, fail) => {
    const asked = request({ socketPath, path, agent: false }, answer => {
      let body = ''
      answer.setEncoding('utf8').on('data', text => {
        body += text
      })
      answer.once('end', () =>
        done({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body }),
      )
      answer.once('error', fail)
    })
    asked.once('error', fail).end()
  })
}
