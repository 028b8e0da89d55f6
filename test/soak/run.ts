// A long bad day: `npm run soak -- [--daemons 20] [--minutes 30] [--baseline 5] [--seed N]`.
// Events, queries, tag changes, restarts, kills and partitions; then one view everywhere, every event everywhere, and nothing grown since
// minute `baseline`. Exits with 1, saying what did not hold. To add an action: a line in actions.ts.
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../protocol/index.ts'
import { cannot } from '../support/netns.ts'
import { ACTIONS, choose } from './actions.ts'
import { type Fleet, startFleet, untilAllEvents, untilOneView } from './fleet.ts'
import { type Gauges, gaugesOf } from './gauges.ts'

/** Of so many daemons one is never ended: only of those can be said that they have grown since minute `baseline`. */
const STEADY = 4
/** Between two actions, milliseconds at most. */
const BETWEEN = 1_000
/** How long a partition lasts, milliseconds. */
const PARTED = { least: 5_000, most: 20_000 }
/** How long the fleet may take to come together once the faults are over. Seconds. */
const SETTLE = 180
/** Heap after a collection may be this many times what it was. */
const HEAP = 1.1
/** Files and other resources come and go with links that are made anew; more than these are a leak. */
const SLACK = 10

const { values } = parseArgs({
  options: {
    daemons: { type: 'string', default: '20' },
    minutes: { type: 'string', default: '30' },
    baseline: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})
const [count, minutes, baseline, seed] = [values.daemons, values.minutes, values.baseline, values.seed].map(Number) as [
  number,
  number,
  number,
  number,
]
if (!(count >= 3 && minutes > baseline && baseline >= 0 && Number.isSafeInteger(seed)))
  throw new Error("three daemons or more, and more minutes than the baseline's")

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

/** The faults are over: the fleet comes together, and what its daemons hold is read. */
async function settle(fleet: Fleet): Promise<Map<string, Gauges>> {
  await untilOneView(fleet, SETTLE)
  await untilAllEvents(fleet, SETTLE)
  const gauges = new Map<string, Gauges>()
  for (const daemon of fleet.all()) gauges.set(daemon.name, await gaugesOf(daemon))
  return gauges
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
const faults: string[] = []
console.log(`soak: ${count} daemons, ${minutes} minutes, seed ${seed}`)
const fleet = await startFleet(count, Math.ceil(count / STEADY), seededRandom(seed))
try {
  await untilOneView(fleet, SETTLE)
  const began = performance.now()
  await harass(fleet, began + baseline * 60_000)
  const before = await settle(fleet)
  const measured = performance.now()
  console.log(`one view and every event everywhere at minute ${Math.round((performance.now() - began) / 60_000)}`)
  await harass(fleet, began + minutes * 60_000)
  const after = await settle(fleet)
  console.log(`one view and every event everywhere at minute ${Math.round((performance.now() - began) / 60_000)}`)

  for (const [name, { done: times, failed }] of done)
    console.log(`  ${name.padEnd(10)} ${times} done, ${failed} not possible`)
  console.log(`  since minute ${baseline}; of a daemon that was started again later, as it is now:`)
  console.log('  daemon      heap MiB         files      resources   resident MiB')
  for (const [name, is] of after) {
    const again = fleet.restarted.get(name)
    if (again !== undefined && again > measured) {
      const minute = ((again - began) / 60_000).toFixed(1)
      console.log(
        `  ${name.padEnd(10)} ${mib(is.heap)}   ${is.files}   ${is.resources}   ${mib(is.resident)}   since minute ${minute}`,
      )
      continue
    }
    const was = before.get(name)!
    console.log(
      `  ${name.padEnd(10)} ${mib(was.heap)} -> ${mib(is.heap)}   ${was.files} -> ${is.files}   ` +
        `${was.resources} -> ${is.resources}   ${mib(was.resident)} -> ${mib(is.resident)}`,
    )
    if (is.heap > was.heap * HEAP) faults.push(`the heap of ${name} grew from ${mib(was.heap)} to ${mib(is.heap)} MiB`)
    if (is.files > was.files + SLACK) faults.push(`${name} had ${was.files} files open, and has ${is.files}`)
    if (is.resources > was.resources + SLACK)
      faults.push(`${name} had ${was.resources} resources, and has ${is.resources}`)
  }
  for (const daemon of fleet.all())
    for (const line of daemon.log().split('\n'))
      if (/MaxListenersExceededWarning|a failure that nobody took care of|a network event was not handled/.test(line))
        faults.push(`${daemon.name}: ${line.slice(0, 400)}`)
} catch (error) {
  faults.push((error as Error).message)
} finally {
  await fleet.close()
}
for (const fault of faults) console.log(`FAULT ${fault}`)
console.log(faults.length === 0 ? 'the soak held' : `${faults.length} faults; seed ${seed}`)
process.exit(faults.length === 0 ? 0 : 1)
