import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { freePort, sandbox } from '../../support/daemons.ts'
import { eventually } from '../../support/wait.ts'

// Debian's prometheus as a client: it finds its targets by GET /v1/sd/prometheus, and scrapes what it found. `npm run test:clients`.

const none = spawnSync('prometheus', ['--version']).status !== 0
if (none) console.log('skipped: test/daemon/services/prometheus.long.ts: prometheus not installed')

interface Target {
  readonly labels: Readonly<Record<string, string>>
  readonly discoveredLabels: Readonly<Record<string, string>>
  readonly scrapeUrl: string
  readonly health: string
  readonly lastError: string
}

test.skipIf(none)(
  'prometheus finds members by HTTP discovery, with their labels, and scrapes their metrics',
  async () => {
    const box = await sandbox()
    const [first, second, web] = [await freePort(), await freePort(), await freePort()]
    try {
      // Each offers its own API's port as a service, so that what is found is what is scraped.
      await box.fleet(2, index => {
        const port = index === 0 ? first : second
        const file = join(box.dir, `services-${index}.yaml`)
        writeFileSync(file, stringify({ services: { metrics: { port } } }))
        return { zone: `rack-${index}`, flags: ['--config', file, '--api', `127.0.0.1:${port}`] }
      })
      const config = join(box.dir, 'prometheus.yml')
      const relabel_configs = [
        { source_labels: ['__meta_fleet_zone'], target_label: 'zone' },
        { source_labels: ['__meta_fleet_node'], target_label: 'node' },
      ]
      const http_sd_configs = [
        { url: `http://127.0.0.1:${first}/v1/sd/prometheus?service=metrics`, refresh_interval: '1s' },
      ]
      const scrape_configs = [{ job_name: 'fleet', http_sd_configs, relabel_configs }]
      writeFileSync(config, stringify({ global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs }))
      const prometheus = spawn(
        'prometheus',
        [
          ...[`--config.file=${config}`, `--storage.tsdb.path=${join(box.dir, 'tsdb')}`],
          ...[`--web.listen-address=127.0.0.1:${web}`, '--log.level=warn'],
        ],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      )
      let said = ''
      prometheus.stderr.on('data', chunk => {
        said += String(chunk)
      })
      const ended = new Promise(done => prometheus.once('exit', done))
      try {
        const ask = async <T>(path: string): Promise<T> => {
          const answer = await fetch(`http://127.0.0.1:${web}/api/v1/${path}`)
          return ((await answer.json()) as { data: T }).data
        }
        const targets = async (): Promise<Target[]> => (await ask<{ activeTargets: Target[] }>('targets')).activeTargets
        let seen: unknown
        const found = await eventually(
          'both members to be scraped',
          async () => {
            const all = await targets()
            seen = all
            return all.length === 2 && all.every(({ health }) => health === 'up') && all
          },
          { seconds: 60, everyMs: 200, seen: () => [seen, said] },
        )
        expect(found.map(({ labels }) => labels).sort((a, b) => (a.node! < b.node! ? -1 : 1))).toEqual([
          { job: 'fleet', instance: `127.0.0.1:${first}`, node: 'n0', zone: 'rack-0' },
          { job: 'fleet', instance: `127.0.0.1:${second}`, node: 'n1', zone: 'rack-1' },
        ])
        expect(found[0]!.discoveredLabels).toMatchObject({
          __meta_fleet_service: 'metrics',
          __meta_fleet_health: 'passing',
        })
        interface Series {
          result: { metric: Record<string, string>; value: [number, string] }[]
        }
        const { result } = await ask<Series>(
          `query?query=${encodeURIComponent('sum by (node) (fleet_members{status="alive"})')}`,
        )
        expect(Object.fromEntries(result.map(({ metric, value }) => [metric.node, value[1]]))).toEqual({
          n0: '2',
          n1: '2',
        })
      } finally {
        prometheus.kill('SIGTERM')
        await ended
      }
    } finally {
      await box.close()
    }
  },
  120_000,
)
