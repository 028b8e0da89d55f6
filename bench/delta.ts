// The next version of an image on a host that has the one before: what goes over the wire with fleetd, casync and zsync.
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { cannot } from '../test/support/netns.ts'
import { type Contender, casync, fleetd, zsync } from './delta/contenders.ts'
import { type Pair, pairs } from './delta/pairs.ts'
import { type Figure, report } from './report.ts'
import { createHosts, passedBytes } from './swarm/hosts.ts'

if (cannot !== undefined) {
  process.stdout.write(`bench:delta needs network namespaces: ${cannot}\n`)
  process.exit(1)
}
/** An image that has nothing in common with any that is there costs at most so many times its size. */
const UNRELATED = 1.02

const dir = mkdtempSync(join(tmpdir(), 'fleetd-bench-'))
const figures: Figure[] = []
const hosts = createHosts(1)
const ours = await fleetd(hosts)
try {
  for (const { missing } of [casync(hosts), zsync(hosts)])
    if (missing !== undefined) process.stdout.write(`not compared: ${missing}\n`)
  let at = 0
  for (const pair of pairs(dir, resolve(import.meta.dirname, '../node_modules'))) {
    const folder = join(dir, String(at++))
    mkdirSync(folder)
    const theirs = await measure(casync(hosts), pair, folder)
    const bytes = (await measure(ours, pair, folder))!
    const others: [string, number | undefined][] = [
      ['casync', theirs],
      ['zsync', await measure(zsync(hosts), pair, folder)],
    ]
    const most = theirs === undefined ? {} : { target: `at most casync's ${kilobytes(theirs)}`, held: bytes <= theirs }
    figures.push({ what: `${pair.name}: fleetd`, value: bytes / 1000, unit: 'kB', ...most })
    for (const [name, value] of others)
      if (value !== undefined) figures.push({ what: `${pair.name}: ${name}`, value: value / 1000, unit: 'kB' })
    if (pair.unrelated === true) {
      const times = bytes / statSync(pair.after).size
      const goal = { target: `at most ${UNRELATED}`, held: times <= UNRELATED }
      figures.push({ what: `${pair.name}: fleetd, of its size`, value: times, unit: 'x', ...goal })
    }
    for (const path of [folder, pair.before, pair.after]) rmSync(path, { recursive: true })
  }
} finally {
  await ours.close()
  hosts.close()
  rmSync(dir, { recursive: true, force: true })
}
report('delta', figures)

/** Bytes both ways, with all headers; undefined where it cannot be measured. A daemon's probes and gossip are among them. */
async function measure(contender: Contender, pair: Pair, folder: string): Promise<number | undefined> {
  if (contender.missing !== undefined) return undefined
  process.stdout.write(`${pair.name}: ${contender.name} ...\n`)
  try {
    const bring = await contender.prepare(pair, folder)
    const before = passedBytes(hosts.receivers[0]!)
    await bring()
    return passedBytes(hosts.receivers[0]!) - before
  } finally {
    if (contender !== ours) await contender.close()
  }
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`
}
