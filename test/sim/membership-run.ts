// Many seeded schedules of the membership simulator:
// `npm run sim:membership -- --schedules 1000 [--seed N] [--nodes N|MIN..MAX] [--fault NAME] [--go-on]`.
// A run that finds a violation prints its seed; `--schedules 1 --seed THAT` replays it exactly.
import { parseArgs } from 'node:util'
import type { Fault } from './membership/index.ts'
import { runSchedule, sizeBetween } from './membership/schedule.ts'

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    fault: { type: 'string' },
    'go-on': { type: 'boolean', default: false },
  },
})
const schedules = Number(values.schedules)
const first = Number(values.seed)
const [least, most] = values.nodes?.split('..').map(Number) ?? []
const began = performance.now()
const rate = (done: number): string => ((done / (performance.now() - began)) * 1000).toFixed(2)
let violated = 0
for (let index = 0; index < schedules; index++) {
  const seed = first + index
  const options = {
    seed,
    ...(least === undefined ? {} : { nodes: sizeBetween(least, most ?? least, seed) }),
    ...(values.fault === undefined ? {} : { fault: values.fault as Fault }),
  }
  const broken = runSchedule(options)
  if (broken.length > 0) {
    violated += 1
    process.stdout.write(`VIOLATION in schedule ${index + 1}, seed ${seed}:\n  ${broken.join('\n  ')}\n`)
    if (!values['go-on']) break
  }
  if ((index + 1) % 100 === 0) process.stderr.write(`${index + 1} of ${schedules}, ${rate(index + 1)} a second\n`)
}
if (violated > 0) process.exit(1)
process.stdout.write(
  `${schedules} schedules (seeds ${first} to ${first + schedules - 1}): no violation of M1, M2 or M3; ${rate(schedules)} schedules a second\n`,
)
