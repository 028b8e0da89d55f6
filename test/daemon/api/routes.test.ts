import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Api, createApi, type FleetService } from '../../../daemon/api/index.ts'
import { problemSchema } from '../../../protocol/api/problem.ts'
import {
  auditGenesis,
  type Call,
  type ErrorCode,
  FleetError,
  formatToken,
  HTTP_STATUS,
  type KeyPair,
  type Millis,
  nextEntry,
  ROUTES,
  type Route,
  type RouteName,
  sha256,
  sign,
  toDocument,
} from '../../../protocol/index.ts'
import { ENDORSEMENT } from '../../../protocol/manifest.ts'
import { REVOCATION } from '../../../protocol/statements/admission.ts'
import { MARK_ORDER } from '../../../protocol/statements/mark.ts'
import { RECOVERY } from '../../../protocol/statements/recovery.ts'
import { ORDER } from '../../../protocol/statements/rollout.ts'
import { AUTHORITY, INVITE_OF_NODE, INVITED, NODE, OPERATOR, PEER, PEER_KEY, signed } from '../../fuzz/world.ts'
import { plan } from '../../rollout/ledger/fixtures.ts'
import { type Ask, ask } from './ask.ts'
import { type Fake, fakeService, member, RECOVERED } from './fake-service.ts'

/** What a route is asked, of a daemon that belongs to a fleet, unless `before` changes that. */
type Asked<N extends RouteName> = Partial<Call<N>> & { readonly before?: (fake: Fake) => void }
/** Each route is shown to do its work, and to refuse what it should with the code that callers rely on. */
type Cases = {
  readonly [N in RouteName]: { readonly works: Asked<N>; readonly refuses: Asked<N> & { readonly code: ErrorCode } }
}

const unclaim = (fake: Fake): void => {
  fake.authority = undefined
}
const fail = (code: ErrorCode) => ({
  code,
  before: (fake: Fake) => {
    fake.failNext = new FleetError(code, 'not now')
  },
})
const SHOP = { ref: 'shop:v1' }
const NONE = { ref: 'nothing:v9' }
const WEB = { group: 'web' }
const NOWHERE = { group: '../web' }
const statement = (bytes: Uint8Array) => ({ statement: toDocument(bytes) })
/** The fake's digest of the image that every case finds. */
const endorsement = { image: sha256(Buffer.from('/srvshopv1')) }
/** Of now: a word of the future is refused. */
const mark = (by: KeyPair) => {
  const body = { node: NODE, layer: 'app', act: 'taint', until: 0 as Millis, reason: 'ticket 812' } as const
  return statement(sign(MARK_ORDER, AUTHORITY.fleet, Date.now() as Millis, body, [by]).bytes)
}
const order = { group: 'web', generation: 1, verb: 'pause', reason: 'lunch' } as const
const token = formatToken({
  ...{ chain: AUTHORITY.chain.map(({ bytes }) => bytes), invite: INVITE_OF_NODE, key: INVITED, bootstrap: [] },
})
const chain = AUTHORITY.chain.map(({ bytes }) => toDocument(bytes))

const CASES = {
  'GET /v1/info': { works: {}, refuses: fail('unavailable') },
  'GET /v1/version': { works: {}, refuses: fail('unavailable') },
  'GET /v1/checkup': { works: {}, refuses: fail('unavailable') },
  'GET /v1/members': { works: {}, refuses: fail('unclaimed') },
  'GET /v1/members/watch': { works: {}, refuses: fail('unclaimed') },
  'GET /v1/rtt': {
    works: { query: { from: 'beta' } },
    refuses: { query: { from: 'nobody' }, code: 'not-found' },
  },
  'POST /v1/claim': {
    works: { body: { chain, token }, before: unclaim },
    refuses: { body: { chain, token }, code: 'refused' },
  },
  'POST /v1/join': {
    works: { body: { addresses: ['192.0.2.1:7946'] } },
    refuses: { body: { addresses: [] }, code: 'bad-input' },
  },
  'POST /v1/leave': { works: {}, refuses: fail('conflict') },
  'POST /v1/force-leave': {
    works: { body: { node: 'gamma' } },
    refuses: { body: { node: 'no such/name' }, code: 'bad-input' },
  },
  'POST /v1/tags': {
    works: { body: { set: { role: 'db' }, delete: ['old'] } },
    refuses: { body: { set: { 'no key': 'x' } }, code: 'bad-input' },
  },
  'POST /v1/events': {
    works: { body: { name: 'deploy', payload: 'djI' } },
    refuses: { body: { name: '', payload: 'djI' }, code: 'bad-input' },
  },
  'GET /v1/events': {
    works: { query: { since: '0' }, before: fake => void fake.deliver('deploy') },
    refuses: { query: { since: '-1' }, code: 'bad-input' },
  },
  'POST /v1/queries': {
    works: {
      body: { name: 'uptime' },
      before: fake => {
        fake.answers = [{ type: 'ack', node: NODE, name: 'beta', payload: '' }]
      },
    },
    refuses: { body: { name: 'uptime', timeoutMs: -1 }, code: 'bad-input' },
  },
  'GET /v1/monitor': {
    works: {
      query: { level: 'debug' },
      before: fake => {
        fake.happened = [{ type: 'log', at: 1 as Millis, level: 'info', message: 'here', fields: {} }]
      },
    },
    refuses: { query: { level: 'loud' as 'info' }, code: 'bad-input' },
  },
  'GET /v1/policy': { works: {}, refuses: { before: unclaim, code: 'unclaimed' } },
  'POST /v1/policy': {
    works: { body: { statement: chain[0]! } },
    refuses: { body: { statement: '***' }, code: 'bad-input' },
  },
  'POST /v1/revocations': {
    works: { body: statement(signed(REVOCATION, { node: PEER, reason: 'stolen' }, OPERATOR).bytes) },
    refuses: {
      body: statement(signed(REVOCATION, { node: PEER, reason: 'no' }, PEER_KEY).bytes),
      code: 'unauthorized',
    },
  },
  'GET /v1/images': { works: {}, refuses: fail('unavailable') },
  'POST /v1/images/build': {
    works: { body: { path: '/srv/shop', name: 'shop', version: 'v2', kind: 'tree' } },
    refuses: { body: { path: 'shop', name: 'shop', version: 'v2', kind: 'tree' }, code: 'bad-input' },
  },
  'GET /v1/images/:ref': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'POST /v1/images/:ref/endorsement': {
    works: { params: SHOP, body: statement(signed(ENDORSEMENT, endorsement, OPERATOR).bytes) },
    refuses: {
      params: SHOP,
      body: statement(signed(ENDORSEMENT, endorsement, PEER_KEY).bytes),
      code: 'unauthorized',
    },
  },
  'POST /v1/images/:ref/fetch': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'POST /v1/images/:ref/verify': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'POST /v1/images/:ref/pin': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'POST /v1/images/:ref/unpin': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'POST /v1/images/:ref/remove': {
    works: { params: SHOP },
    refuses: { params: SHOP, before: fake => void fake.service.pinImage('shop:v1', true), code: 'refused' },
  },
  'POST /v1/images/gc': {
    works: { body: { dryRun: true } },
    refuses: { body: { dryRun: 'yes' as never }, code: 'bad-input' },
  },
  'GET /v1/images/:ref/bundle': {
    works: { params: SHOP, query: { plan: 'true' } },
    refuses: { params: NONE, code: 'not-found' },
  },
  'POST /v1/images/import': {
    works: { body: { path: '/media/usb/shop.bundle' } },
    refuses: { body: { path: 'shop.bundle' }, code: 'bad-input' },
  },
  'POST /v1/marks': {
    works: { body: mark(OPERATOR) },
    refuses: { body: mark(PEER_KEY), code: 'unauthorized' },
  },
  'GET /v1/drift': { works: { query: {} }, refuses: { query: { node: 'a b' }, code: 'bad-input' } },
  'POST /v1/drift': { works: { body: {} }, refuses: { body: { node: 'a b' }, code: 'bad-input' } },
  'GET /v1/evidence': { works: { query: {} }, refuses: { query: { node: 'a b' }, code: 'bad-input' } },
  'GET /v1/evidence/:digest': {
    works: { params: { digest: 'abab' } },
    refuses: { params: { digest: 'cdcd' }, code: 'not-found' },
  },
  'GET /v1/services': { works: { query: { service: 'web' } }, refuses: fail('unclaimed') },
  'GET /v1/sd/prometheus': { works: { query: {} }, refuses: fail('unclaimed') },
  'GET /v1/divergence': { works: {}, refuses: fail('unclaimed') },
  'GET /v1/hotfixes': { works: {}, refuses: fail('unclaimed') },
  'GET /v1/images/:ref/peers': { works: { params: SHOP }, refuses: { params: NONE, code: 'not-found' } },
  'GET /v1/audit': { works: { query: { limit: '5' } }, refuses: { query: { limit: '0' }, code: 'bad-input' } },
  'GET /v1/audit/verify': { works: { query: {} }, refuses: { query: { node: 'a b' }, code: 'bad-input' } },
  'GET /v1/audit/export': { works: { query: {} }, refuses: { query: { line: 'x' }, code: 'bad-input' } },
  'GET /v1/why/:node': { works: { params: { node: 'alpha' } }, refuses: { params: { node: ' ' }, code: 'bad-input' } },
  'GET /v1/rollouts': { works: {}, refuses: fail('unclaimed') },
  'POST /v1/rollouts': {
    works: { body: statement(plan().bytes) },
    refuses: { body: { statement: 'AAAA' }, code: 'corrupt' },
  },
  'POST /v1/orders': {
    works: { body: statement(signed(ORDER, order, OPERATOR).bytes) },
    refuses: { body: statement(signed(ORDER, order, PEER_KEY).bytes), code: 'unauthorized' },
  },
  'GET /v1/rollouts/:group': { works: { params: WEB }, refuses: { params: NOWHERE, code: 'bad-input' } },
  'GET /v1/rollouts/:group/history': { works: { params: WEB }, refuses: { params: NOWHERE, code: 'bad-input' } },
  'GET /v1/rollouts/:group/draft': {
    works: { params: WEB, query: { layer: 'app', image: 'shop:v1', select: ['role=web|db'] } },
    refuses: { params: WEB, query: { layer: 'app', image: 'shop:v1', select: 'role=(' }, code: 'bad-input' },
  },
  'GET /v1/rollouts/:group/watch': { works: { params: WEB }, refuses: { params: NOWHERE, code: 'bad-input' } },
  'GET /v1/rollouts/:group/explain/:node': {
    works: { params: { group: 'web', node: NODE } },
    refuses: { params: { group: 'web', node: PEER }, code: 'not-found' },
  },
  'GET /v1/ledger/:group': { works: { params: WEB }, refuses: { params: WEB, ...fail('no-quorum') } },
  'GET /v1/ledger/:group/recovery': { works: { params: WEB }, refuses: { params: WEB, ...fail('refused') } },
  'POST /v1/recoveries': {
    works: { body: statement(signed(RECOVERY, RECOVERED, OPERATOR).bytes) },
    refuses: { body: statement(signed(RECOVERY, RECOVERED, PEER_KEY).bytes), code: 'unauthorized' },
  },
} as const satisfies Cases

/** Beside the table: what each of them says, and what is refused there. */
const OTHERS = ['GET /healthz', 'GET /readyz', 'GET /metrics', 'GET /v1/openapi.json']

let dir: string
let fake: Fake
let api: Api
let address: string
/** Whatever is asked next throws this, also where the fake itself does not. */
const service = new Proxy({} as FleetService, {
  get: (_, name: keyof FleetService) => {
    const error = fake.failNext
    fake.failNext = undefined
    if (error !== undefined) throw error
    return fake.service[name]
  },
})
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fleetd-api-'))
  api = createApi({ service, log: pino({ level: 'silent' }), metrics: new Registry() })
  address = await api.listen(`unix:${join(dir, 'api.sock')}`)
})
afterAll(async () => {
  await api.close()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(async () => {
  fake = fakeService()
  fake.authority = { ...AUTHORITY, policy: { ...AUTHORITY.policy, publishers: [OPERATOR.publicKey] } }
  fake.members.push(member('delta', { id: NODE }))
  const build = { path: '/srv', name: 'shop', version: 'v1', kind: 'tree', labels: {}, provenance: {} } as const
  await fake.service.buildImage(build, () => undefined, AbortSignal.timeout(1_000))
  const tail = { seq: 0, hash: auditGenesis(fake.id) }
  const what = { kind: 'activated', text: 'shop:v1 runs', subject: 'web', by: '', detail: {} } as const
  fake.log.push(nextEntry(tail, 1_700_000_000_000 as Millis, what).line)
})

async function put(name: RouteName, { before, ...parts }: Asked<RouteName>, until?: Ask['until']) {
  before?.(fake)
  const { params = {}, query = {}, body } = parts as { params?: object; query?: object; body?: unknown }
  const [method, template] = name.split(' ') as [string, string]
  const path = template.replaceAll(/:(\w+)/g, (_, key: string) =>
    encodeURIComponent((params as Record<string, string>)[key]!),
  )
  const search = new URLSearchParams(
    Object.entries(query).flatMap(([key, value]) =>
      [value].flat().map(each => [key, String(each)] as [string, string]),
    ),
  )
  return ask(address, `${path}?${search}`, {
    method,
    ...(method === 'GET' ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) }),
    ...(until === undefined ? {} : { until }),
  })
}

const NAMES = Object.keys(ROUTES) as RouteName[]

describe('every route', () => {
  test.each(NAMES)('%s does its work, and its answer is what the description says', async name => {
    const route: Route = ROUTES[name]
    const isStream = route.events !== undefined
    const endless = isStream && route.result === undefined
    const answer = await put(
      name,
      CASES[name].works as Asked<RouteName>,
      endless ? body => body.includes('\n\n') : undefined,
    )
    expect(answer.status, answer.body).toBe(200)
    if (route.download === true) {
      expect(answer.type).toBe('application/octet-stream')
      expect(answer.body).toContain('bundle of shop:v1')
      return
    }
    if (!isStream) {
      expect(answer.type).toContain('application/json')
      expect(route.result!.safeParse(answer.json()).error).toBeUndefined()
      return
    }
    expect(answer.type).toBe('text/event-stream')
    const told = [...answer.body.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, kind, data]) => ({
      kind: kind!,
      data: JSON.parse(data!) as unknown,
    }))
    expect(told.length).toBeGreaterThan(0)
    for (const { kind, data } of told)
      expect((kind === 'update' ? route.events : route.result)!.safeParse(data).error, kind).toBeUndefined()
    expect(told.at(-1)!.kind).toBe(endless ? 'update' : 'result')
  })

  test.each(NAMES)('%s refuses, in a problem document with its code and status', async name => {
    const { code, ...asked } = CASES[name].refuses
    const answer = await put(name, asked as Asked<RouteName>)
    expect(answer.type).toContain('application/problem+json')
    expect(problemSchema.safeParse(answer.json()).error).toBeUndefined()
    expect(answer.json()).toMatchObject({ code, status: HTTP_STATUS[code] })
    expect(answer.status).toBe(HTTP_STATUS[code])
  })

  test.each(NAMES.filter(name => 'body' in ROUTES[name]))(
    '%s takes no JSON but its own, and no other type',
    async name => {
      const [method, template] = name.split(' ') as [string, string]
      const path = template.replaceAll(/:\w+/g, 'shop')
      for (const [type, body] of [
        ['application/json', '[]'],
        ['application/json', '{"unknown":1}'],
        ['application/json', '{'],
        ['application/json', ''],
        ['text/plain', '{}'],
        ['application/x-www-form-urlencoded', 'a=b'],
      ] as const) {
        const answer = await ask(address, path, { method, headers: { 'content-type': type }, body })
        expect(`${answer.status} ${answer.json().code}`, `${type} ${body}`).toBe('400 bad-input')
      }
    },
  )

  test('no route is served that is not in the table, described and tested', async () => {
    const { createApp } = await import('../../../daemon/api/app.ts')
    const app = await createApp({ service, log: pino({ level: 'silent' }), metrics: new Registry() })
    expect(app.routes.toSorted()).toEqual([...Object.keys(CASES), ...OTHERS].toSorted())
    const description = (await ask(address, '/v1/openapi.json')).json() as unknown as { paths: Record<string, object> }
    const described = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    )
    expect(described.toSorted()).toEqual(app.routes.toSorted())
    await app.close()
  })

  test.each(OTHERS)('%s answers, and refuses every other method', async name => {
    const path = name.slice('GET '.length)
    expect((await ask(address, path)).status).toBe(200)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'])
      expect((await ask(address, path, { method })).status, method).toBe(404)
  })
})
