// Fleets of 100, 1 000 and 10 000 simulated nodes: `npm run bench:sim -- [--sizes 100,1000] [--only load,crash-one] [--minutes 10]`.
// Each experiment is a process of its own with a heap of 8 GiB at most and `--minutes` of CPU to be done in. Named by `--only`, it is run
// with sizes too that are left out by default. What was not run this time stays in the results as it was.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { build } from 'esbuild'
import { EXPERIMENTS, type Measured } from './sim/experiments.ts'
import { plot } from './sim/plot.ts'

export interface Run {
  readonly experiment: string
  readonly nodes: number
  readonly figures: readonly Measured[]
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakBytes: number
}

interface Results {
  readonly runs: readonly Run[]
  readonly missing: readonly { readonly experiment: string; readonly nodes: number; readonly why: string }[]
}

const HEAP_MIB = 8_192
const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '100,1000,10000' },
    only: { type: 'string' },
    minutes: { type: 'string', default: '10' },
  },
})
const results = join(import.meta.dirname, 'results')
// Inside node_modules, so that what is not bundled is found.
const bundle = join(import.meta.dirname, `../node_modules/.bench-sim-${process.pid}.mjs`)
// Bundled, because what tsx adds to every function to keep its name makes the simulator take twice as long.
await build({
  entryPoints: [join(import.meta.dirname, 'sim/run.ts')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  outfile: bundle,
})
const file = join(results, 'sim.json')
const known: Results = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Results)
  : { runs: [], missing: [] }
const runs = new Map(known.runs.map(each => [`${each.experiment} ${each.nodes}`, each]))
const missing = new Map(known.missing.map(each => [`${each.experiment} ${each.nodes}`, each]))
mkdirSync(results, { recursive: true })
try {
  for (const nodes of values.sizes.split(',').map(Number))
    for (const name of values.only?.split(',') ?? Object.keys(EXPERIMENTS)) {
      const most = (values.only === undefined ? EXPERIMENTS[name]!.most : undefined) ?? Number.POSITIVE_INFINITY
      if (nodes <= most) run(name, nodes)
      else if (!runs.has(`${name} ${nodes}`)) omit(name, nodes, `not run above ${most} nodes unless asked for by name`)
    }
} finally {
  rmSync(bundle, { force: true })
}
print([...runs.values()])

function run(name: string, nodes: number): void {
  const flags = [`--max-old-space-size=${HEAP_MIB}`, '--max-semi-space-size=64']
  // CPU and not the clock, which says as much of who else uses the machine.
  const limited = `ulimit -t ${Number(values.minutes) * 60}; exec "$@"`
  const child = spawnSync('sh', ['-c', limited, 'sh', process.execPath, ...flags, bundle, name, String(nodes)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.status === 0) {
    runs.set(`${name} ${nodes}`, JSON.parse(child.stdout) as Run)
    missing.delete(`${name} ${nodes}`)
  } else omit(name, nodes, `ended with ${child.signal ?? child.status} within ${values.minutes} min of CPU`)
  save()
  process.stderr.write(`${name} ${nodes}: ${child.status === 0 ? 'done' : missing.get(`${name} ${nodes}`)?.why}\n`)
}

function omit(experiment: string, nodes: number, why: string): void {
  runs.delete(`${experiment} ${nodes}`)
  missing.set(`${experiment} ${nodes}`, { experiment, nodes, why })
}

/** After each: those at the end of a long list take their time. */
function save(): void {
  const all = [...runs.values()].sort((a, b) => a.nodes - b.nodes)
  const content: Results = { runs: all, missing: [...missing.values()] }
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  writeFileSync(join(results, 'sim.svg'), plot(all))
}

function print(all: readonly Run[]): void {
  const sizes = [...new Set(all.map(({ nodes }) => nodes))].sort((a, b) => a - b)
  const table = new Table({
    head: ['simulated nodes', 'unit', ...sizes.map(size => size.toLocaleString('en'))],
    style: { head: [], border: [] },
    colAligns: ['left', 'left', ...sizes.map(() => 'right' as const)],
  })
  for (const [name, { about }] of Object.entries(EXPERIMENTS)) {
    const of = (nodes: number): Run | undefined => all.find(each => each.experiment === name && each.nodes === nodes)
    const figures = all.find(each => each.experiment === name)?.figures ?? []
    if (figures.length > 0) table.push([{ content: about, colSpan: 2 + sizes.length }])
    for (const [index, { what, unit }] of figures.entries())
      table.push([`  ${what}`, unit, ...sizes.map(size => shown(of(size)?.figures[index]?.value))])
    if (figures.length > 0) {
      table.push(['  CPU that it took', 's', ...sizes.map(size => shown(of(size)?.cpuSeconds))])
      table.push(['  memory at most', 'MB', ...sizes.map(size => shown((of(size)?.peakBytes ?? Number.NaN) / 1e6))])
    }
  }
  const lines = [...missing.values()].map(({ experiment, nodes, why }) => `${experiment} with ${nodes}: ${why}\n`)
  process.stdout.write(`${table.toString()}\n${lines.join('')}`)
}

function shown(value = Number.NaN): string {
  if (Number.isNaN(value)) return '-'
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 })
}
