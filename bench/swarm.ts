// One image from one seed to many receivers behind slow links: fleetd's swarm, BitTorrent and plain HTTP beside the physical limit.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cannot } from '../test/support/netns.ts'
import { type Figure, report } from './report.ts'
import { aria2, type Contender, fleetd, http } from './swarm/contenders.ts'
import { BYTES_PER_SECOND, createHosts, RATE, sentBytes } from './swarm/hosts.ts'

const { values } = parseArgs({
  options: {
    receivers: { type: 'string', default: '8,16' },
    mib: { type: 'string', default: '64' },
    only: { type: 'string', default: 'fleetd,aria2,http' },
  },
})
if (cannot !== undefined) {
  process.stdout.write(`bench:swarm needs network namespaces: ${cannot}\n`)
  process.exit(1)
}
const size = Number(values.mib) * 2 ** 20
/** Chunks of 64 KiB on average: the pieces that the limit counts with. */
const PIECES = size / (64 * 1024)
const TARGET = { median: 1.15, slowest: 1.3, upload: 1.3 }

const dir = mkdtempSync(join(tmpdir(), 'fleetd-bench-'))
const file = join(dir, 'bench.img')
writeFileSync(file, randomBytes(size))
const figures: Figure[] = []
try {
  for (const receivers of values.receivers.split(',').map(Number)) {
    // Mundinger, Weber, Weiss: Optimal scheduling of peer-to-peer file dissemination, J. Scheduling 2008.
    const limit = (size / BYTES_PER_SECOND) * (1 + Math.floor(Math.log2(receivers)) / PIECES)
    const to = `${values.mib} MiB to ${receivers} at ${RATE}`
    figures.push({ what: `${to}: the limit T*`, value: limit, unit: 's' })
    for (const contender of [fleetd, aria2, http]) {
      if (!values.only.split(',').includes(contender.name)) continue
      process.stdout.write(`${to}: ${contender.name} ...\n`)
      const { median, slowest, upload } = await measure(contender, receivers)
      const what = `${to}: ${contender.name}`
      const ours = contender === fleetd
      const figure = (name: string, value: number, times: string, unit: string, target: number): void => {
        const goal = { target: `at most ${target} ${times}`, held: value <= target }
        figures.push({ what: `${what}, ${name}`, value, unit: `${times}${unit}`, ...(ours ? goal : {}) })
      }
      figure('median receiver', median / limit, 'T*', ` (${median.toFixed(1)} s)`, TARGET.median)
      figure('slowest receiver', slowest / limit, 'T*', ` (${slowest.toFixed(1)} s)`, TARGET.slowest)
      figure('sent by the seed', upload / size, 'F', '', TARGET.upload)
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}
report('swarm', figures)

async function measure(contender: Contender, receivers: number) {
  const hosts = createHosts(receivers)
  try {
    const started = await contender.start(hosts, file, dir)
    try {
      const before = sentBytes(hosts.seed)
      const began = performance.now()
      const seconds = await Promise.all(
        hosts.receivers.map(async (receiver, index) => {
          await started.fetch(receiver, index)
          return (performance.now() - began) / 1000
        }),
      )
      seconds.sort((a, b) => a - b)
      return {
        median: seconds[Math.floor((seconds.length - 1) / 2)]!,
        slowest: seconds.at(-1)!,
        upload: sentBytes(hosts.seed) - before,
      }
    } finally {
      await started.close()
    }
  } finally {
    hosts.close()
  }
}
