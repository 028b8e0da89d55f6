// fleetd beside Serf, one after the other in one run, asked in the same words (Serf's RPC protocol) on one host in a network namespace:
// `npm run bench:serf [-- --count 20,50 --loss-seconds 300]`. Needs root, iproute2, nftables and serf.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Figure, report } from './report.ts'
import { fleetd, serf } from './serf/fleets.ts'
import { type Measured, measure } from './serf/measure.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20,50' },
    'loss-seconds': { type: 'string', default: '300' },
    inside: { type: 'boolean', default: false },
  },
})
if (values.inside) await compare()
else inNamespace()

/** Runs this again where there is nobody else, and no way out. */
function inNamespace(): void {
  const missing = ['ip', 'nft', 'serf'].filter(program => spawnSync('which', [program]).status !== 0)
  if (process.getuid?.() !== 0 || missing.length > 0) {
    process.stdout.write(
      `bench:serf is skipped: it needs root, iproute2, nftables and serf${missing.length > 0 ? `; missing here: ${missing.join(', ')}` : ''}\n`,
    )
    return
  }
  const name = `fleetd-bench-${process.pid}`
  execFileSync('ip', ['netns', 'add', name])
  try {
    execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
    const again = [...process.execArgv, ...process.argv.slice(1), '--inside']
    const { status } = spawnSync('ip', ['netns', 'exec', name, process.execPath, ...again], { stdio: 'inherit' })
    process.exitCode = status ?? 1
  } finally {
    execFileSync('ip', ['netns', 'del', name])
  }
}

async function compare(): Promise<void> {
  for (const count of values.count.split(',').map(Number)) {
    const dir = mkdtempSync(join(tmpdir(), 'fleetd-bench-'))
    const settings = {
      count,
      dir,
      crashes: 5,
      silences: 3,
      events: 40,
      quietSeconds: 30,
      lossSeconds: Number(values['loss-seconds']),
    }
    try {
      const ours = await measure(fleetd(), settings)
      const theirs = await measure(serf, settings)
      report(`serf-${count}`, figures(ours, theirs, settings.lossSeconds))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  }
}

function figures(ours: Measured, theirs: Measured, lossSeconds: number): Figure[] {
  const times = (what: string, of: (measured: Measured) => number, ahead: number): Figure[] => [
    { what: `${what}, fleetd`, value: of(ours) / 1_000, unit: 's' },
    { what: `${what}, serf`, value: of(theirs) / 1_000, unit: 's' },
    {
      what: `${what}, serf / fleetd`,
      value: of(theirs) / of(ours),
      unit: 'x',
      ...(ahead === 0 ? {} : { target: `at least ${ahead}`, held: of(theirs) >= ahead * of(ours) }),
    },
  ]
  const both = (what: string, unit: string, of: (measured: Measured) => number): Figure[] => [
    { what: `${what}, fleetd`, value: of(ours), unit },
    { what: `${what}, serf`, value: of(theirs), unit },
  ]
  return [
    ...times('all see all after the last start', ({ joined }) => joined, 0),
    ...times('kill -9 to failed at all, mean', ({ crash }) => mean(crash), 3),
    ...times('silent host to failed at all, mean', ({ silent }) => mean(silent), 3),
    ...times('event handed out, p50', ({ events }) => quantile(events, 0.5), 0),
    ...times('event handed out, p99', ({ events }) => quantile(events, 0.99), 2),
    {
      what: `falsely failed in ${lossSeconds} s of loss and stops, fleetd`,
      value: ours.falselyFailed,
      unit: '',
      target: 'at most a tenth',
      held: ours.falselyFailed <= theirs.falselyFailed / 10,
    },
    { what: `falsely failed in ${lossSeconds} s of loss and stops, serf`, value: theirs.falselyFailed, unit: '' },
    ...both('resident, mean', 'MB', ({ residentMb }) => residentMb),
    ...both('processor when idle, mean', '% of a core', ({ processorPercent }) => processorPercent),
    ...both('sent when idle, mean', 'B/s', ({ bytesPerSecond }) => bytesPerSecond),
  ]
}

function mean(samples: readonly number[]): number {
  return samples.reduce((sum, value) => sum + value, 0) / samples.length
}

function quantile(samples: readonly number[], share: number): number {
  return [...samples].sort((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(share * samples.length))]!
}
