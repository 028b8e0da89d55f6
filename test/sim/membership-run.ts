// Many seeded schedules of the membership simulator: `npm run sim:membership -- --schedules 1000 [--seed N] [--nodes N] [--fault NAME]`.
// A run that finds a violation prints its seed; `--schedules 1 --seed THAT` replays it exactly.
import { parseArgs } from 'node:util'
import { runSchedule } from './membership-schedule.ts'
import type { Fault } from './membership-world.ts'

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    fault: { type: 'string' },
  },
})
const schedules = Number(values.schedules)
const first = Number(values.seed)
const options = {
  ...(values.nodes === undefined ? {} : { nodes: Number(values.nodes) }),
  ...(values.fault === undefined ? {} : { fault: values.fault as Fault }),
}
const began = performance.now()
const rate = (done: number): string => ((done / (performance.now() - began)) * 1000).toFixed(1)
for (let index = 0; index < schedules; index++) {
  const broken = runSchedule({ seed: first + index, ...options })
  if (broken.length > 0) {
    process.stdout.write(`VIOLATION in schedule ${index + 1}, seed ${first + index}:\n  ${broken.join('\n  ')}\n`)
    process.exit(1)
  }
  if ((index + 1) % 100 === 0) process.stderr.write(`${index + 1} of ${schedules}, ${rate(index + 1)} a second\n`)
}
process.stdout.write(
  `${schedules} schedules (seeds ${first} to ${first + schedules - 1}): no violation of M1, M2 or M3; ${rate(schedules)} schedules a second\n`,
)
