// How long `fleetctl members` takes beside `node -e 0`, in one run: the price of asking a daemon over and above starting Node.
import { execFileSync } from 'node:child_process'
import { FLEETCTL, sandbox } from '../test/support/daemons.ts'
import { report } from './report.ts'

const ROUNDS = 10
const TARGET = 1.6

const box = await sandbox()
try {
  const [daemon] = await box.fleet(3)
  const once = (args: readonly string[]): number => {
    const began = performance.now()
    execFileSync(process.execPath, args)
    return performance.now() - began
  }
  const bare: number[] = []
  const members: number[] = []
  // Taken in turns, so that whatever else the machine does falls on both alike.
  for (let round = 0; round < ROUNDS + 2; round++) {
    const samples = [once(['-e', '0']), once([FLEETCTL, '--api', `unix:${daemon!.socket}`, 'members'])] as const
    if (round < 2) continue
    bare.push(samples[0])
    members.push(samples[1])
  }
  const ratio = median(members) / median(bare)
  report('cli', [
    { what: 'node -e 0', value: median(bare), unit: 'ms' },
    { what: 'fleetctl members', value: median(members), unit: 'ms' },
    { what: 'ratio', value: ratio, unit: 'x', target: `at most ${TARGET}`, held: ratio <= TARGET },
  ])
} finally {
  await box.close()
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}
