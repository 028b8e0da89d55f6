import { parseArgs } from 'node:util'
import { saveCorpus, saveFinding } from './corpus.ts'
import { watchCoverage } from './coverage.ts'
import { fuzz } from './fuzzer.ts'
import { watchCompiling } from './oracles.ts'
import { TARGETS } from './targets/index.ts'

// npm run fuzz -- [--target NAME]... [--seconds 60] [--seed 1]
// A run takes longer than that on a machine so busy that it got no more than half of a core.
// Exits with 1 when something was found; the input that shows it is then in test/fuzz/corpus/NAME.

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
  },
})
const names = values.target ?? TARGETS.map(target => target.name)
const unknown = names.filter(name => !TARGETS.some(target => target.name === name))
const seconds = Number(values.seconds)
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
if (unknown.length > 0 || !(seconds > 0) || !Number.isSafeInteger(seed)) {
  console.error(
    `usage: npm run fuzz -- [--target NAME]... [--seconds N] [--seed N]; targets: ${TARGETS.map(t => t.name).join(', ')}`,
  )
  process.exit(2)
}

watchCompiling()
const ours = new URL('../../', import.meta.url).href
const coverage = watchCoverage(
  url => url.startsWith(ours) && !url.includes('/node_modules/') && !url.startsWith(`${ours}test/`),
)
// Nothing may go wrong behind the back of whoever called the decoder either.
process.on('unhandledRejection', error => {
  console.error('a rejection that nobody handles:', error)
  process.exit(1)
})
let found = 0
for (const target of TARGETS.filter(({ name }) => names.includes(name))) {
  console.log(`${target.name}: seed ${seed}`)
  await target.open?.()
  const report = await fuzz(target, { seconds, seed, coverage, tell: console.log })
  saveCorpus(target.name, report.corpus)
  for (const { input, reason } of report.findings) {
    found += 1
    console.log(`${target.name}: FOUND ${reason}\n  in ${saveFinding(target.name, input)}`)
  }
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
  console.log(
    `${target.name}: ${report.executions} runs in ${Math.round(report.seconds.clock)} s, ${Math.round(report.seconds.processor)} s of them of processor time (${report.taken} taken), ` +
      `${report.parts} parts reached, ${report.corpus.length} inputs kept, slowest ${report.slowest.toFixed(1)} ms, ` +
      `heap ${mib(report.heap.before)} -> ${mib(report.heap.after)} MiB, ` +
      `resident ${mib(process.resourceUsage().maxRSS * 1024)} MiB at most, ${report.findings.length} findings`,
  )
  await target.close?.()
}
process.exit(found > 0 ? 1 : 0)
