import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import pino from 'pino'
import { type Browser, chromium, type Page } from 'playwright-core'
import { bundlePage } from '../../../build.mjs'
import { type Api, createApi } from '../../../daemon/api/index.ts'
import { serveWeb, type Web } from '../../../daemon/web/index.ts'
import {
  authorityFrom,
  type Digest,
  foundFleet,
  generateKeyPair,
  type MemberView,
  type Millis,
  type RolloutStatusView,
} from '../../../protocol/index.ts'
import { type Fake, fakeService, member } from '../api/fake-service.ts'

/** Debian's place for it. */
const CHROMIUM = '/usr/bin/chromium'

/** Undefined where a browser can be started, otherwise why none can. */
export const noBrowser = (): string | undefined =>
  existsSync(CHROMIUM) ? undefined : `there is no ${CHROMIUM}; install Debian's package chromium`

export const startBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
  })

export interface Served {
  readonly fake: Fake
  readonly url: string
  close(): Promise<void>
}

/** What goes wrong in a page: errors of its code, lines on its console, requests to anywhere else, refusals of its policy. */
export function watchFor(page: Page, origin: string): string[] {
  const wrong: string[] = []
  page.on('pageerror', error => wrong.push(`error: ${error.message}`))
  page.on('console', line => wrong.push(`console: ${line.type()} ${line.text()}`))
  page.on('request', request => {
    if (!request.url().startsWith(origin)) wrong.push(`request: ${request.url()}`)
  })
  return wrong
}

export const DESK = { width: 1200, height: 800 }
export const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true }

/** What axe objects to in a page that is serious or critical. */
export async function seriousIn(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = (await page.evaluate('axe.run()')) as axe.AxeResults
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
}

/** The built page, over the API of a daemon that is not there. */
export async function servePage(): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetd-page-'))
  await bundlePage(directory)
  const log = pino({ level: 'silent' })
  const fake = fakeService()
  fake.authority = authorityFrom(foundFleet(generateKeyPair(), fake.id, Date.now() as Millis).chain)
  const api: Api = createApi({ service: fake.service, log })
  const web: Web = (await serveWeb({ address: '127.0.0.1:0', api, directory, log }))!
  return {
    fake,
    url: `http://${web.address}/`,
    async close() {
      await web.close()
      await api.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Lets the served daemon be one of so many, with a rollout in its middle. */
export function showFleet({ fake }: Served, count: number): void {
  fake.members = simulatedFleet(count)
  fake.members[0] = { ...fake.members[0]!, id: fake.id, rttMs: null, estimatedRttMs: null }
  fake.push(simulatedRollout(fake.members))
}

export const OLD = 'a'.repeat(64) as Digest
export const NEW = 'b'.repeat(64) as Digest
const ZONES = ['fra-1', 'fra-2', 'ams-1', 'ship-aurora', 'shop-17', 'lon-1', 'waw-1', 'sin-1']
const GROUPS = ['web', 'edge', 'store']

/** The rollout of `simulatedFleet`, in its middle. */
export function simulatedRollout(members: readonly MemberView[]): RolloutStatusView {
  const group = members.filter(each => each.group === 'web')
  const ok = group.filter(({ layers }) => layers.some(({ digest }) => digest === NEW)).length
  const holder = group.find(({ layers }) => layers.some(({ state }) => state === 'verifying')) ?? group[4]
  return {
    group: 'web',
    generation: 7,
    phase: 'rolling',
    image: { digest: NEW, version: 'shop:v2' },
    target: OLD,
    total: group.length,
    ok,
    failed: 0,
    pending: group.length - ok,
    permits:
      holder === undefined
        ? []
        : [{ token: 41, node: holder.id, name: holder.name, kind: 'replace', since: (Date.now() - 9_000) as Millis }],
    waves: [],
    reason: '',
  }
}

/** A fleet of so many, in several zones and groups, in which a few things are wrong and a rollout is going on. The same at every call. */
export function simulatedFleet(count: number, now: number = Date.now()): MemberView[] {
  return Array.from({ length: count }, (_, at) => {
    const group = count < 10 ? 'web' : GROUPS[(at * 7) % GROUPS.length]!
    const zone = count < 10 ? ZONES[at % 2]! : ZONES[(at * 5 + (at >> 4)) % ZONES.length]!
    const updated = group !== 'store' && at % 5 < 2
    const base = {
      zone,
      group,
      rttMs: 0.4 + (at % 17) / 10,
      estimatedRttMs: 1 + (at % 40) / 10,
      tags: { rack: `r${at % 12}` },
      since: (now - (at % 900) * 61_000) as Millis,
      layers: [layer(updated ? NEW : OLD, updated ? 'shop:v2' : 'shop:v1')],
    }
    return member(`${group}-${at}`, { ...base, ...oddity(at, count) })
  })
}

const layer = (
  digest: Digest,
  version: string,
  state: 'running' | 'verifying' | 'fetching' | 'waiting' = 'running',
  progress = 1,
) => ({
  layer: 'app',
  digest,
  version,
  state,
  progress,
})

/** What is not as usual about the member in this place. */
function oddity(at: number, count: number): Partial<MemberView> {
  const every = count < 10 ? 1 : 1 + Math.floor(count / 300)
  switch (at % every === 0 ? (at / every) % 60 : -1) {
    case 1:
      return { layers: [layer(OLD, 'shop:v1', 'verifying')] }
    case 2:
      return { layers: [layer(OLD, 'shop:v1', 'fetching', 0.42)] }
    case 3:
      return { layers: [layer(OLD, 'shop:v1', 'waiting')] }
    case 4:
      return { taint: ['hotfix: a certificate by hand'] }
    case 21:
      return { status: 'failed', health: 'unknown' }
    case 22:
      return { health: 'failing', reason: 'check http of layer app: connection refused, 3 times' }
    case 23:
      return { status: 'suspect' }
    case 24:
    case 25:
      return { status: 'away', class: 'intermittent' }
    case 26:
      return { status: 'left' }
    case 27:
      return { health: 'unknown', layers: [] }
    default:
      return {}
  }
}
