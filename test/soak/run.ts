// A long bad day: `npm run soak -- [--daemons 20] [--minutes 30] [--every 5] [--seed N]`.
// Events, queries, tag changes, restarts, kills and partitions. Every so many minutes the faults pause: then there has to be one view
// everywhere and every event everywhere, and no process may hold more than in the first pause that found it as old as that.
// Exits with 1, saying what did not hold. To add an action: a line in actions.ts.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../protocol/index.ts'
import { cannot } from '../support/netns.ts'
import { ACTIONS, choose } from './actions.ts'
import { type Fleet, startFleet, untilAllEvents, untilOneView } from './fleet.ts'
import { gaugesOf } from './gauges.ts'
import { faultsOf, growths, type Life, mib, minutes as minutesOf, type Sample } from './growth.ts'

/** Of so many daemons one is never ended; when a third of the time is over as many more are spared, which shows how those grow that were ended before. */
const SPARED = 4
/** Between two actions, milliseconds at most. */
const BETWEEN = 1_000
/** How long a partition lasts, milliseconds. */
const PARTED = { least: 5_000, most: 20_000 }
/** How long the fleet may take to come together once the faults are over. Seconds. */
const SETTLE = 180

const { values } = parseArgs({
  options: {
    daemons: { type: 'string', default: '20' },
    minutes: { type: 'string', default: '30' },
    every: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const [count, minutes, every, seed] = [values.daemons, values.minutes, values.every, values.seed].map(Number) as [
  number,
  number,
  number,
  number,
]
if (!(count >= 3 && every > 0 && minutes >= 2 * every && Number.isSafeInteger(seed)))
  throw new Error('three daemons or more, and two pauses or more')

if (cannot !== undefined) throw new Error(`the soak needs network namespaces: ${cannot}`)

const done = new Map(ACTIONS.map(({ name }) => [name, { done: 0, failed: 0 }]))
let serial = 0

/** Lets things happen to the fleet until `end`, by performance.now(). */
async function harass(fleet: Fleet, end: number): Promise<void> {
  let healAt = Number.POSITIVE_INFINITY
  while (performance.now() < end) {
    const action = choose(fleet)
    serial += 1
    const tally = done.get(action.name)!
    if (await action.run(fleet, serial)) tally.done += 1
    else tally.failed += 1
    if (action.name === 'partition' && healAt === Number.POSITIVE_INFINITY && fleet.parted())
      healAt = performance.now() + PARTED.least + fleet.random.int(PARTED.most - PARTED.least)
    if (performance.now() >= healAt) {
      fleet.heal()
      healAt = Number.POSITIVE_INFINITY
    }
    await pause(fleet.random.int(BETWEEN))
  }
  fleet.heal()
}

/** Of each process, by its daemon and when it was started. */
const lives = new Map<string, { daemon: string; samples: Sample[] }>()

/** The faults are over: the fleet comes together, and what its daemons hold is read. */
async function settle(fleet: Fleet): Promise<void> {
  await untilOneView(fleet, SETTLE)
  await untilAllEvents(fleet, SETTLE)
  for (const daemon of fleet.all()) {
    const started = fleet.started.get(daemon.name)!
    const key = `${daemon.name} ${started}`
    const life = lives.get(key) ?? { daemon: daemon.name, samples: [] }
    lives.set(key, life)
    const gauges = await gaugesOf(daemon)
    life.samples.push({ age: performance.now() - started, gauges })
  }
}

function printLife({ daemon, samples }: Life): void {
  const [first, last] = [samples[0]!, samples.at(-1)!]
  const of = (read: (sample: Sample) => string | number): string =>
    first === last ? String(read(first)) : `${read(first)} -> ${read(last)}`
  console.log(
    `  ${daemon.padEnd(8)} ${of(({ age }) => minutesOf(age)).padEnd(13)} ${of(({ gauges }) => mib(gauges.heap)).padEnd(14)} ` +
      `${of(({ gauges }) => gauges.files).padEnd(9)} ${of(({ gauges }) => gauges.resources).padEnd(9)} ` +
      `${of(({ gauges }) => mib(gauges.resident)).padEnd(16)} ${samples.map(({ gauges }) => mib(gauges.heap)).join(' ')}`,
  )
}

const faults: string[] = []
console.log(`soak: ${count} daemons, ${minutes} minutes, seed ${seed}`)
const fleet = await startFleet(count, seededRandom(seed))
try {
  await untilOneView(fleet, SETTLE)
  fleet.spare(Math.ceil(count / SPARED))
  const began = performance.now()
  const passed = (): number => (performance.now() - began) / 60_000
  for (let until = every; until <= minutes; until += every) {
    if (until > minutes / 3) fleet.spare(2 * Math.ceil(count / SPARED))
    await harass(fleet, began + until * 60_000)
    const healed = performance.now()
    await settle(fleet)
    console.log(
      `minute ${passed().toFixed(1)}: one view and every event everywhere, ${((performance.now() - healed) / 1000).toFixed(0)} s after the last fault`,
    )
  }

  for (const [name, { done: times, failed }] of done)
    console.log(`  ${name.padEnd(10)} ${times} done, ${failed} not possible`)
  console.log('  each process that was seen in a pause, from the first to the last of them, and its heap in each:')
  console.log('  daemon   minutes old   heap MiB       files     resources resident MiB')
  for (const life of lives.values()) printLife(life)
  const judged = growths([...lives.values()], every * 60_000)
  for (const growth of judged) faults.push(...faultsOf(growth))
  console.log(`  ${judged.length} of ${lives.size} processes were old enough to be judged by how they grew`)
} catch (error) {
  faults.push((error as Error).message)
} finally {
  faults.push(...fleet.complaints())
  await fleet.close()
}
for (const fault of faults) console.log(`FAULT ${fault}`)
console.log(faults.length === 0 ? 'the soak held' : `${faults.length} faults; seed ${seed}`)
process.exit(faults.length === 0 ? 0 : 1)
