// The whole story on one machine: `npm run demo`. Five daemons, one image passed from peer to peer, a rolling
// replacement under load, a bad image that is taken back by itself, and a daemon killed in the middle of its own
// replacement. Every figure in the table was measured in this run; the exit code is 0 only when all of it held.

import { randomBytes } from 'node:crypto'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Table from 'cli-table3'
import pc from 'picocolors'
import { type Daemon, freePort, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'
import { answersOf, startClient } from './client.ts'

const NODES = 5
const K = 2
const MIN_HEALTHY = '2s'
const DEADLINE = '8s'

interface Status {
  phase: string
  generation: number
  ok: number
  failed: number
  reason: string
  permits: { token: number; node: string; since: string | number }[]
}
interface ImagePeer {
  node: string
  name?: string
  bytes: number
}

const rows: { what: string; saw: string; wanted: string; held: boolean }[] = []
const record = (what: string, saw: string, wanted: string, held: boolean): void => {
  rows.push({ what, saw, wanted, held })
  process.stdout.write(`  ${held ? pc.green('ok') : pc.red('NO')}  ${what}: ${saw}\n`)
}
const act = (title: string): void => void process.stdout.write(`\n${pc.bold(title)}\n`)
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

const box = await sandbox()
try {
  await story()
} finally {
  await box.close()
}
print()
process.exit(rows.every(row => row.held) ? 0 : 1)

async function story(): Promise<void> {
  const ports = await Promise.all(Array.from({ length: NODES }, freePort))
  const layers = (index: number): Record<string, unknown> => ({
    app: {
      driver: 'process',
      command: [process.execPath, 'server.js'],
      env: { PORT: String(ports[index]) },
      checks: [
        { name: 'http', http: `http://127.0.0.1:${ports[index]}/`, interval: '200ms', timeout: '1s', failures: 3 },
      ],
    },
  })

  act(`1. ${NODES} daemons find each other`)
  const began = performance.now()
  const daemons = await box.fleet(NODES, index => ({ group: 'web', zone: `rack${index % 2}`, layers: layers(index) }))
  const [first] = daemons as [Daemon, ...Daemon[]]
  const up = performance.now()
  await eventually('all to see all alive', async () => {
    const views = await Promise.all(daemons.map(daemon => daemon.json<{ members: { status: string }[] }>('members')))
    return views.every(view => view.members.filter(member => member.status === 'alive').length === NODES)
  })
  record(
    'members converged',
    `${NODES} of ${NODES} at every node, ${seconds(performance.now() - up)} after the last start (${seconds(up - began)} to start them)`,
    'all see all',
    true,
  )

  const images = await buildImages(first)

  act('2. v1 everywhere: one node is given the image, all get it from each other')
  await rollout(first, images.v1, ['--strategy', 'rolling'])
  const bodies = await answersOf(ports)
  record(
    'v1 answers',
    bodies.join(' '),
    'v1 at all',
    bodies.every(body => body === 'v1'),
  )

  await imageBytes(daemons, images.v1, 'all of it')

  act(`3. v2 rolled out under load, at most ${K} down`)
  const client = startClient(ports)
  await eventually('the client to be under way', () => client.tally.requests > 50)
  client.reset()
  const v2Began = performance.now()
  await rollout(first, images.v2, ['--strategy', 'rolling'])
  const v2 = client.reset()
  record(
    'v2 rollout',
    `${seconds(performance.now() - v2Began)}, ${v2.requests} requests, ${[...v2.answers].map(([body, count]) => `${body} ${count}`).join(', ')}`,
    'v2 at all',
    (await answersOf(ports)).every(body => body === 'v2'),
  )
  record('most down at once during v2', String(v2.maxDown), `at most ${K}`, v2.maxDown <= K)
  record(
    'failed requests during v2',
    `${v2.failed} (${v2.firstFailures} needed the one retry on another host)`,
    '0',
    v2.failed === 0,
  )
  await imageBytes(daemons, images.v2, 'the rest it had from v1')

  act('4. v3 answers 500: its canary fails, and it is undone by itself')
  const v3Began = performance.now()
  const started = await first.ctl(...start(images.v3, ['--strategy', 'canary', '--canary', '1', '--detach']))
  if (started.code !== 0) throw new Error(`rollout start: ${started.stderr}`)
  let detected = Number.NaN
  await eventually(
    'v3 to be undone',
    async () => {
      const status = await first.json<Status>('rollout', 'status', '--group', 'web')
      if (
        Number.isNaN(detected) &&
        (status.failed > 0 || status.phase === 'reversing' || status.phase === 'rolled-back')
      )
        detected = performance.now()
      return status.phase === 'rolled-back'
    },
    { seconds: 90, everyMs: 100 },
  )
  const undone = performance.now()
  const v3 = client.reset()
  record(
    'v3 detected and undone',
    `detected after ${seconds(detected - v3Began)} (deadline ${DEADLINE}), undone ${seconds(undone - detected)} later`,
    'rolled back',
    true,
  )
  record('nodes that v3 touched', `most down at once ${v3.maxDown}`, 'the canary alone', v3.maxDown <= 1)
  record('failed requests during v3', String(v3.failed), '0', v3.failed === 0)
  const after = await answersOf(ports)
  record(
    'after the undo',
    after.join(' '),
    'v2 at all',
    after.every(body => body === 'v2'),
  )

  act('5. a daemon is killed with -9 while it holds a permit')
  const detached = await first.ctl(...start(images.v1, ['--strategy', 'rolling', '--detach']))
  if (detached.code !== 0) throw new Error(`rollout start: ${detached.stderr}`)
  const victimPermit = await eventually(
    'a node other than the first to hold a permit',
    async () => {
      const status = await first.json<Status>('rollout', 'status', '--group', 'web')
      const firstId = (await first.json<{ id: string }>('info')).id
      return status.permits.find(permit => permit.node !== firstId && permit.node !== 'n0')
    },
    { seconds: 60, everyMs: 30 },
  )
  const ids = await Promise.all(
    daemons.map(async daemon => ({ daemon, id: (await daemon.json<{ id: string }>('info')).id })),
  )
  const victim = ids.find(({ daemon, id }) => id === victimPermit.node || daemon.name === victimPermit.node)!
  victim.daemon.kill('SIGKILL')
  await victim.daemon.exited()
  await eventually('the killed node to be seen as failed', async () => {
    const { members } = await first.json<{ members: { name: string; status: string }[] }>('members')
    return members.some(member => member.name === victim.daemon.name && member.status === 'failed')
  })
  const whileDown = await first.json<Status>('rollout', 'status', '--group', 'web')
  const kept = whileDown.permits.some(permit => permit.token === victimPermit.token)
  record(
    'permit of the killed node',
    kept ? `token ${victimPermit.token} still held while it is down` : `token ${victimPermit.token} is gone`,
    'it never expires',
    kept,
  )
  const revived = await victim.daemon.restart()
  const tokens = new Set<number>([victimPermit.token])
  await eventually(
    'the rollout to be done',
    async () => {
      const status = await first.json<Status>('rollout', 'status', '--group', 'web')
      for (const permit of status.permits) if (permit.node === victimPermit.node) tokens.add(permit.token)
      return status.phase === 'done'
    },
    { seconds: 90, everyMs: 50 },
  )
  const resumed = revived.log().includes(`"token":${victimPermit.token}`)
  record(
    'the killed node finished',
    `under token ${[...tokens].join(', ')}${resumed ? ', as its log says' : ''}`,
    'its old permit and no other',
    tokens.size === 1 && resumed,
  )
  const last = client.reset()
  const end = await answersOf(ports)
  record(
    'v1 again',
    `${end.join(' ')}, most down at once ${last.maxDown}`,
    `v1 at all, at most ${K} down`,
    end.every(body => body === 'v1') && last.maxDown <= K,
  )
  await client.stop()
}

function start(image: string, flags: readonly string[]): string[] {
  return [
    'rollout',
    'start',
    '--layer',
    'app',
    '--group',
    'web',
    '--image',
    image,
    '--max-unavailable',
    String(K),
    '--min-healthy',
    MIN_HEALTHY,
    '--deadline',
    DEADLINE,
    '--reason',
    'demo',
    ...flags,
  ]
}

async function rollout(through: Daemon, image: string, flags: readonly string[]): Promise<void> {
  const result = await through.ctl('--timeout', '120s', ...start(image, flags))
  if (result.code !== 0)
    throw new Error(`the rollout of ${image} ended with exit code ${result.code}: ${result.stderr}${result.stdout}`)
}

/** The three versions of the shop, each with 32 MiB of assets, of which 24 never change. */
async function buildImages(first: Daemon): Promise<{ v1: string; v2: string; v3: string }> {
  const shared = randomBytes(24 * 2 ** 20)
  for (const version of ['v1', 'v2', 'v3']) {
    const dir = join(box.dir, 'shop', version)
    await mkdir(dir, { recursive: true })
    await cp(join(import.meta.dirname, 'app', version), dir, { recursive: true })
    await writeFile(join(dir, 'assets.bin'), Buffer.concat([shared, randomBytes(8 * 2 ** 20)]))
    await first.json('image', 'build', dir, '--name', 'shop', '--version', version)
  }
  await rm(join(box.dir, 'shop'), { recursive: true })
  return { v1: 'shop:v1', v2: 'shop:v2', v3: 'shop:v3' }
}

async function imageBytes(daemons: readonly Daemon[], image: string, note: string): Promise<void> {
  for (const daemon of daemons.slice(1)) {
    const { peers } = await daemon.json<{ peers: ImagePeer[] }>('image', 'peers', image)
    const from = peers.filter(peer => peer.bytes > 0)
    const total = from.reduce((sum, peer) => sum + peer.bytes, 0)
    record(
      `image bytes of ${image} at ${daemon.name}`,
      `${mib(total)} from ${from.length} ${from.length === 1 ? 'peer' : 'peers'} (${note})`,
      'some from peers',
      total > 0,
    )
  }
}

function print(): void {
  const table = new Table({ head: ['what', 'seen', 'wanted', ''], style: { head: [], border: [] } })
  for (const row of rows) table.push([row.what, row.saw, row.wanted, row.held ? 'held' : 'DID NOT HOLD'])
  process.stdout.write(`\n${table.toString()}\n`)
}
