import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, type DaemonOptions, freePort, type Sandbox } from '../../test/support/daemons.ts'
import { disruptions, mostAtOnce } from '../../test/support/disruptions.ts'
import { eventually } from '../../test/support/wait.ts'
import { startLoad } from './load.ts'
import { mean, type Rolled, type Setting, writeVersion } from './setting.ts'

/** How many daemons are started at the same time. */
const AT_ONCE = 5

/** Real daemons, each of which runs a small web server, brought from v1 to v2 by `fleetctl rollout start`. */
export async function rollByFleetd(box: Sandbox, { count, budget, minHealthy }: Setting): Promise<Rolled> {
  const ports: number[] = []
  for (let at = 0; at < count; at++) ports.push(await freePort())
  const options = (at: number): Partial<DaemonOptions> => ({
    group: 'web',
    flags: ['--log-level', 'info'],
    layers: {
      app: {
        driver: 'process',
        command: ['node', 'server.js'],
        env: { PORT: `${ports[at]}` },
        stopTimeout: '2s',
        checks: [
          { name: 'http', http: `http://127.0.0.1:${ports[at]}/`, interval: '200ms', timeout: '2s', failures: 3 },
        ],
      },
    },
  })
  const first = await box.start({ name: 'n0', init: true, ...options(0) })
  const { token } = await first.json<{ token: string }>('invite', '--ttl', '1h')
  const daemons = [first]
  for (let from = 1; from < count; from += AT_ONCE) {
    const more = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, at) => from + at)
    daemons.push(...(await Promise.all(more.map(at => box.start({ name: `n${at}`, join: [token], ...options(at) })))))
  }
  await eventually(
    'all to be alive',
    async () => {
      const { members } = await first.json<{ members: { status: string }[] }>('members')
      return members.filter(({ status }) => status === 'alive').length === count
    },
    { seconds: 120 },
  )
  for (const version of ['v1', 'v2']) {
    const dir = join(box.dir, version)
    mkdirSync(dir)
    writeVersion(dir, version)
    await first.json('image', 'build', dir, '--name', 'shop', '--version', version)
  }
  const roll = async (version: string, ...flags: string[]): Promise<void> => {
    const { code, stderr } = await first.ctl(
      ...['rollout', 'start', '--group', 'web', '--layer', 'app', '--image', `shop:${version}`],
      ...['--deadline', '60s', '--timeout', '900s', ...flags],
    )
    if (code !== 0) throw new Error(`the rollout ended with ${code}: ${stderr}`)
  }
  await roll('v1', '--strategy', 'at-once', '--min-healthy', '100ms')

  const watched = disruptions(daemons)
  watched.forget()
  const before = daemons.map(daemon => daemon.log().length)
  const load = startLoad(ports)
  const began = performance.now()
  await roll('v2', '--max-unavailable', `${budget}`, '--min-healthy', `${minHealthy}ms`)
  const seconds = (performance.now() - began) / 1_000
  const list = watched.list()
  const down = list.map(({ name, begin }) => {
    const at = daemons.findIndex(daemon => daemon.name === name)
    return (healthyAt(daemons[at]!, before[at]!) - minHealthy - begin) / 1_000
  })
  return { seconds, disrupt: mean(down), atOnce: mostAtOnce(list), ...(await load.stop()) }
}

/** When the host had been healthy for long enough, by its daemon's log. */
function healthyAt(daemon: Daemon, from: number): number {
  const line = daemon
    .log()
    .slice(from)
    .split('\n')
    .find(text => text.includes('waiting for peers to confirm it'))
  if (line === undefined) throw new Error(`${daemon.name} was never healthy`)
  return Date.parse((JSON.parse(line) as { time: string }).time)
}
