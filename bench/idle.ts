// What a daemon costs while nothing happens: resident memory and processor time in a fleet of twenty.
import { readFileSync } from 'node:fs'
import { sandbox } from '../test/support/daemons.ts'
import { eventually } from '../test/support/wait.ts'
import { report } from './report.ts'

const COUNT = 20
/** A young fleet is not idle: connections made on the way in that the overlay does not want are closed after 30 s. */
const SETTLE_MS = 75_000
const WINDOW_MS = 60_000
const TICKS_PER_SECOND = 100 // USER_HZ, which is 100 on every Linux that Node runs on
const TARGET = { rssMb: 90, cpuPercent: 1 }

const box = await sandbox()
try {
  const daemons = await box.fleet(COUNT, () => ({ flags: ['--profile', 'lan', '--log-level', 'info'] }))
  await eventually('twenty alive', async () => {
    const { members } = await daemons[0]!.json<{ members: { status: string }[] }>('members')
    return members.filter(member => member.status === 'alive').length === COUNT
  })
  await pause(SETTLE_MS)
  const before = daemons.map(daemon => ticks(daemon.process.pid!))
  const began = performance.now()
  await pause(WINDOW_MS)
  const elapsed = (performance.now() - began) / 1000
  const cpu = daemons.map(
    (daemon, index) => ((ticks(daemon.process.pid!) - before[index]!) / TICKS_PER_SECOND / elapsed) * 100,
  )
  const rss = daemons.map(daemon => residentBytes(daemon.process.pid!) / 1e6)
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  report('idle', [
    { what: 'resident, mean', value: mean(rss), unit: 'MB' },
    {
      what: 'resident, largest',
      value: Math.max(...rss),
      unit: 'MB',
      target: `under ${TARGET.rssMb}`,
      held: Math.max(...rss) < TARGET.rssMb,
    },
    { what: 'processor, mean', value: mean(cpu), unit: '% of a core' },
    {
      what: 'processor, largest',
      value: Math.max(...cpu),
      unit: '% of a core',
      target: `under ${TARGET.cpuPercent}`,
      held: Math.max(...cpu) < TARGET.cpuPercent,
    },
  ])
} finally {
  await box.close()
}

/** User and system time so far: fields 14 and 15 of /proc/PID/stat, see proc(5). */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return Number(fields[11]) + Number(fields[12])
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
