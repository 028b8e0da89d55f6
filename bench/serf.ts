// fleetd beside Serf, one after the other in one run, asked in the same words (Serf's RPC protocol), each agent on a host of its own
// (a network namespace on a common bridge): `npm run bench:serf [-- --count 20,50 --loss-seconds 300]`. Needs root, iproute2, nftables
// and serf.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Figure, report } from './report.ts'
import { fleetd, serf } from './serf/fleets.ts'
import { createPlace, type Place } from './serf/lan.ts'
import { type Measured, measure } from './serf/measure.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20,50' },
    'loss-seconds': { type: 'string', default: '300' },
    /** For a look at one of the two: no table then. */
    only: { type: 'string' },
    inside: { type: 'string' },
  },
})
const counts = values.count.split(',').map(Number)
if (values.inside !== undefined) await compare(JSON.parse(values.inside) as Place)
else outside()

/** Makes the hosts, and runs this again on the one that the agents are asked from. */
function outside(): void {
  const missing = ['ip', 'nft', 'serf'].filter(program => spawnSync('which', [program]).status !== 0)
  if (process.getuid?.() !== 0 || missing.length > 0) {
    process.stdout.write(
      `bench:serf is skipped: it needs root, iproute2, nftables and serf${missing.length > 0 ? `; missing here: ${missing.join(', ')}` : ''}\n`,
    )
    return
  }
  const { place, close } = createPlace(Math.max(...counts))
  try {
    const again = [...process.execArgv, ...process.argv.slice(1), '--inside', JSON.stringify(place)]
    const { status } = spawnSync('ip', ['netns', 'exec', place.asker, process.execPath, ...again], { stdio: 'inherit' })
    process.exitCode = status ?? 1
  } finally {
    close()
  }
}

async function compare(place: Place): Promise<void> {
  for (const count of counts) {
    const dir = mkdtempSync(join(tmpdir(), 'fleetd-bench-'))
    const settings = {
      count,
      dir,
      place,
      crashes: 5,
      silences: 3,
      events: 40,
      quietSeconds: 60,
      lossSeconds: Number(values['loss-seconds']),
    }
    try {
      if (values.only !== undefined) {
        const system = values.only === 'serf' ? serf : fleetd()
        process.stdout.write(`${JSON.stringify(await measure(system, settings), undefined, 1)}\n`)
        continue
      }
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
  const aim = (what: string, unit: string, of: (measured: Measured) => number, under: number): Figure[] => [
    { what: `${what}, fleetd`, value: of(ours), unit, target: `under ${under}`, held: of(ours) < under },
    { what: `${what}, serf`, value: of(theirs), unit },
  ]
  return [
    ...times('all see all after the last is started', ({ joined }) => joined, 0),
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
    ...both('members among them', '', ({ membersFalselyFailed }) => membersFalselyFailed),
    ...aim('resident, mean', 'MB', ({ residentMb }) => residentMb, 75),
    ...aim('processor when idle, mean', '% of a core', ({ processorPercent }) => processorPercent, 0.5),
    ...both('sent when idle, mean', 'B/s', ({ bytesPerSecond }) => bytesPerSecond),
  ]
}

function mean(samples: readonly number[]): number {
  return samples.reduce((sum, value) => sum + value, 0) / samples.length
}

function quantile(samples: readonly number[], share: number): number {
  return [...samples].sort((a, b) => a - b)[Math.min(samples.length - 1, Math.floor(share * samples.length))]!
}
