import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { FleetError, PROBLEM_TYPE, type RouteName, toFleetError, toProblem } from '../../protocol/index.ts'
import { type Api, assertNotFromAPage } from '../api/index.ts'

export interface Site {
  readonly api: Pick<Api, 'answer'>
  /** Where the built page lies. */
  readonly directory: string
}

/** What the page reads. Nothing here changes anything, and the log is not among it: it may name what others should not see. */
export const READABLE: readonly RouteName[] = [
  'GET /v1/info',
  'GET /v1/members',
  'GET /v1/members/watch',
  'GET /v1/rtt',
  'GET /v1/events',
  'GET /v1/images',
  'GET /v1/images/:ref',
  'GET /v1/images/:ref/peers',
  'GET /v1/rollouts',
  'GET /v1/rollouts/:group',
  'GET /v1/rollouts/:group/watch',
  'GET /v1/rollouts/:group/explain/:node',
  'GET /v1/ledger/:group',
]

const FILES: Readonly<Record<string, { file: string; type: string }>> = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/page.js': { file: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/page.css': { file: 'page.css', type: 'text/css; charset=utf-8' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
}

/** Parameters as the API takes them, and nothing that a router might read as more than one segment. */
const SEGMENT = '[A-Za-z0-9._:-]+'
const READABLE_PATH = new RegExp(
  `^(?:${READABLE.map(name => name.slice('GET '.length).replaceAll(/:\w+/g, SEGMENT)).join('|')})$`,
)

/** What holds for everything that is served here: it runs and loads nothing from elsewhere, and nobody else embeds it. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** Answers one request. Never rejects for what was asked. */
export async function serve(request: IncomingMessage, response: ServerResponse, site: Site): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  try {
    assertNotFromAPage(request)
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (request.method === 'GET' && READABLE_PATH.test(pathname) && request.url!.startsWith(pathname)) {
      site.api.answer(request, response)
      return
    }
    const found = Object.hasOwn(FILES, pathname) ? FILES[pathname] : undefined
    if (found === undefined || (request.method !== 'GET' && request.method !== 'HEAD'))
      throw new FleetError('not-found', 'the page has no such part, and only reads')
    const content = await readFile(join(site.directory, found.file)).catch(error => {
      throw new FleetError('unavailable', 'this build has no web page; build it with "npm run build"', { cause: error })
    })
    response.writeHead(200, {
      'content-type': found.type,
      'cache-control': 'no-cache',
      'content-length': content.length,
    })
    response.end(request.method === 'HEAD' ? undefined : content)
  } catch (error) {
    const problem = toProblem(toFleetError(error))
    response
      .writeHead(problem.status, { 'content-type': PROBLEM_TYPE, connection: 'close' })
      .end(JSON.stringify(problem))
  }
}
