// Many seeded schedules of the ledger simulator: `npm run sim:ledger -- --schedules 100000 [--seed N] [--voters N] [--broken NAME]`.
// A run that finds a violation prints its seed; `--schedules 1 --seed THAT` replays it exactly.
import { parseArgs } from 'node:util'
import { addTally, type Broken, describeTally, newTally, runSchedule } from './ledger/index.ts'

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    voters: { type: 'string' },
    broken: { type: 'string' },
  },
})
const schedules = Number(values.schedules)
const first = Number(values.seed)
const options = {
  ...(values.voters === undefined ? {} : { voters: Number(values.voters) }),
  ...(values.broken === undefined ? {} : { broken: values.broken as Broken }),
}
const began = performance.now()
const tally = newTally()
let events = 0
let grants = 0
for (let index = 0; index < schedules; index++) {
  const seed = first + index
  const outcome = runSchedule(seed, options)
  events += outcome.events
  grants += outcome.grants
  addTally(tally, outcome.tally)
  if (outcome.violations.length > 0) {
    process.stdout.write(`VIOLATION in schedule ${index + 1}, seed ${seed}: ${outcome.violations[0]}\n`)
    process.exit(1)
  }
  if ((index + 1) % 1_000 === 0)
    process.stderr.write(
      `${index + 1} of ${schedules}, ${Math.round(((index + 1) / (performance.now() - began)) * 1000)} a second\n`,
    )
}
process.stdout.write(describeTally(tally, schedules))
const seconds = (performance.now() - began) / 1000
process.stdout.write(
  `${schedules} schedules (seeds ${first} to ${first + schedules - 1}), ${events} events, ${grants} grants: no violation of I1 to I7 or of agreement; ${Math.round(schedules / seconds)} schedules a second\n`,
)
