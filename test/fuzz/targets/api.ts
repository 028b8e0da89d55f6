import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import pino from 'pino'
import { type Api, createApi, type FleetService } from '../../../daemon/api/index.ts'
import { openapi } from '../../../daemon/api/openapi.ts'
import { FleetError, formatToken, ROUTES, toDocument } from '../../../protocol/index.ts'
import { callsOf, type Description } from '../../daemon/api/calls.ts'
import { Broken, crowd, HOSTILE, type Target } from '../target.ts'
import { parse, print, type Tree } from '../tree.ts'
import { AUTHORITY, INVITE_OF_NODE, INVITED } from '../world.ts'
import { STATEMENTS } from './statement.ts'

const NAMES = Object.keys(ROUTES)
/** A daemon that has nothing: what reaches it has passed the checks of the API. */
const service = new Proxy({} as FleetService, {
  get: () => () => {
    throw new FleetError('not-found', 'there is nothing here')
  },
})

let server: { api: Api; path: string; folder: string } | undefined
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

async function serve() {
  const folder = mkdtempSync(join(tmpdir(), 'fleetd-fuzz-'))
  const path = join(folder, 'api.sock')
  const api = createApi({ service, log: pino({ level: 'silent' }) })
  await api.listen(`unix:${path}`)
  return { api, path, folder }
}

interface Call {
  readonly method: string
  readonly path: string
  readonly body: Buffer | undefined
}

/** [route, parameter, body] and perhaps a search; anything else is a body that may be no JSON. */
function callOf(input: Uint8Array): Call {
  const tree = parse(input)
  if (!Array.isArray(tree) || tree.length < 3 || tree.length > 4)
    return { method: 'POST', path: '/v1/tags', body: Buffer.from(input) }
  const name =
    typeof tree[0] === 'string' && NAMES.includes(tree[0]) ? tree[0] : NAMES[input.byteLength % NAMES.length]!
  const [method, template] = name.split(' ') as [string, string]
  const parameter = encodeURIComponent(typeof tree[1] === 'string' ? Buffer.from(tree[1]).toString() : 'x')
  const search = typeof tree[3] === 'string' && tree[3] !== '' ? `?${encodeURI(Buffer.from(tree[3]).toString())}` : ''
  return {
    method,
    path: template.replaceAll(/:\w+/g, parameter || 'x') + search,
    body: method === 'POST' ? Buffer.from(JSON.stringify(jsonOf(tree[2]!)) ?? 'null') : undefined,
  }
}

function jsonOf(tree: Tree): unknown {
  if (tree instanceof Map) {
    const object: Record<string, unknown> = Object.create(null)
    for (const [key, value] of tree) object[String(key)] = jsonOf(value)
    return object
  }
  if (tree instanceof Uint8Array) return toDocument(tree)
  if (Array.isArray(tree)) return tree.map(jsonOf)
  return typeof tree === 'bigint' ? Number(tree) : tree
}

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(treeOf)
  if (typeof value !== 'object' || value === null) return value as Tree
  return new Map(Object.entries(value).map(([key, each]) => [key, treeOf(each)]))
}

/** So many calls of every route as the description of the API makes them, sound ones and others. */
const SAMPLES = 200
function sampled(): Uint8Array[] {
  const calls = callsOf(openapi('0') as unknown as Description, ['GET /metrics'], (_, body) => body)
  return fc.sample(calls, { numRuns: SAMPLES, seed: 1 }).flatMap(({ name, path, body }) => {
    const route = name.replaceAll(/\{(\w+)\}/g, ':$1')
    const search = path.includes('?') ? decodeURIComponent(path.slice(path.indexOf('?') + 1)) : ''
    return NAMES.includes(route) ? [print([route, 'shop:1', treeOf(JSON.parse(body ?? 'null')), search])] : []
  })
}

function ask({ method, path, body }: Call, socketPath: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({
      ...{ socketPath, path, method, agent },
      headers: body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.byteLength },
    })
    asked.once('error', reject)
    asked.once('response', response => {
      let text = ''
      response.on('data', chunk => {
        text += chunk
      })
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
      response.once('error', reject)
    })
    asked.end(body)
  })
}

const token = formatToken({
  chain: AUTHORITY.chain.map(({ bytes }) => bytes),
  invite: INVITE_OF_NODE,
  key: INVITED,
  bootstrap: [],
})
const BODIES: readonly Tree[] = [
  new Map<Tree, Tree>([['token', token]]),
  new Map<Tree, Tree>([['addresses', ['192.0.2.1:7946']]]),
  new Map<Tree, Tree>([
    ['set', new Map([['role', 'web']])],
    ['delete', ['old']],
  ]),
  new Map<Tree, Tree>([
    ['chain', AUTHORITY.chain.map(({ bytes }) => bytes)],
    ['token', token],
  ]),
  new Map<Tree, Tree>([
    ['path', '/srv/app'],
    ['name', 'shop'],
    ['version', '1'],
    ['kind', 'tree'],
    ['labels', new Map()],
    ['provenance', new Map()],
  ]),
  new Map<Tree, Tree>(),
]

/** Requests to the local API, over its socket. */
export const api: Target = {
  name: 'api',
  maxBytes: 64 * 1024,
  refusals: [],
  seeds: () => [
    ...HOSTILE.filter(({ byteLength }) => byteLength < 64 * 1024),
    ...NAMES.flatMap(name => BODIES.map(body => print([name, 'shop:1', body]))),
    ...sampled(),
    ...STATEMENTS.map(({ bytes }) => print(['POST /v1/policy', '', new Map([['statement', bytes]])])),
    Uint8Array.from(Buffer.from('{"set":{"__proto__":"x"},"delete":["constructor"]}')),
    Uint8Array.from(Buffer.from('{"set":{},"delete":{"length":{"toString":1}}}')),
    Uint8Array.from(Buffer.from('['.repeat(8_000))),
    Uint8Array.from(Buffer.from(JSON.stringify({ set: crowd(2_000), delete: [] }))),
  ],
  async run(input) {
    const call = callOf(input)
    const { status, text } = await ask(call, server!.path)
    if (status >= 500) throw new Broken(`${call.method} ${call.path}: status ${status}: ${text.slice(0, 300)}`)
  },
  async open() {
    server = await serve()
    // Its routes are loaded by the first who asks, and compiled then.
    await ask({ method: 'GET', path: '/healthz', body: undefined }, server.path)
  },
  async close() {
    await server?.api.close()
    if (server !== undefined) rmSync(server.folder, { recursive: true, force: true })
    server = undefined
  },
}
