// One sender and one receiver on loopback: an image fetched by a daemon from another, verified and stored, beside raw TCP with AES-GCM (the limit)
// and node:https, each between two processes as well.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { type Daemon, sandbox } from '../test/support/daemons.ts'
import { type Figure, report } from './report.ts'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '1024' } } })
const SIZE = Number(values.mib) * 2 ** 20
/** What is reached of the limit at least: issue "Images: a swarm close to the physical limit". */
const TARGET = 0.5

interface Transfer {
  readonly megabytesPerSecond: number
  /** Of both ends together, for a GiB. */
  readonly cpuSeconds: number
}

const box = await sandbox()
try {
  const limit = await beside('gcm')
  const https = await beside('https')
  const ours = await fetched()
  const ratio = ours.megabytesPerSecond / limit.megabytesPerSecond
  report('stream', [
    ...figuresOf('raw TCP with AES-GCM', limit),
    ...figuresOf('node:https', https),
    ...figuresOf('fleetd, verified and stored', ours),
    { what: 'fleetd of the limit', value: ratio, unit: 'x', target: `at least ${TARGET}`, held: ratio >= TARGET },
  ])
} finally {
  await box.close()
}

function figuresOf(what: string, { megabytesPerSecond, cpuSeconds }: Transfer): Figure[] {
  return [
    { what, value: megabytesPerSecond, unit: 'MB/s' },
    { what: `${what}: processor, both ends`, value: cpuSeconds, unit: 's a GiB' },
  ]
}

/** Two processes of bench/stream/limit.ts. */
async function beside(kind: 'gcm' | 'https'): Promise<Transfer> {
  const program = join(box.dir, 'limit.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'stream/limit.ts')],
    outfile: program,
    platform: 'node',
    format: 'esm',
  })
  const start = (...args: (string | number)[]) => {
    const child = spawn(process.execPath, [program, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] })
    return createInterface({ input: child.stdout })
  }
  const sender = start('send', kind, 0, SIZE)
  const [listening] = await once(sender, 'line')
  const sent = once(sender, 'line')
  const [received] = await once(start('receive', kind, JSON.parse(listening).port, SIZE), 'line')
  const ends = [JSON.parse((await sent)[0]), JSON.parse(received)] as {
    user: number
    system: number
    seconds: number
  }[]
  return {
    megabytesPerSecond: SIZE / 1e6 / ends[1]!.seconds,
    cpuSeconds: perGiB(ends.reduce((sum, { user, system }) => sum + user + system, 0) / 1e6),
  }
}

async function fetched(): Promise<Transfer> {
  const [sender, receiver] = (await box.fleet(2, () => ({ flags: ['--log-level', 'info'] }))) as [Daemon, Daemon]
  const file = join(box.dir, 'disk.img')
  await pipeline(function* () {
    for (let at = 0; at < SIZE; at += 2 ** 20) yield randomBytes(2 ** 20)
  }, createWriteStream(file))
  const image = ['--name', 'disk', '--version', '1', '--kind', 'file']
  const { digest } = await sender.json<{ digest: string }>('--timeout', '300s', 'image', 'build', file, ...image)
  const before = [sender, receiver].map(cpuOf)
  const start = performance.now()
  const { code, stderr } = await receiver.ctl('--timeout', '600s', 'image', 'fetch', digest)
  if (code !== 0) throw new Error(stderr)
  const seconds = (performance.now() - start) / 1000
  const after = [sender, receiver].map(cpuOf)
  for (const [index, name] of ['sender', 'receiver'].entries())
    process.stdout.write(`${name}: ${perGiB(after[index]! - before[index]!).toFixed(2)} s of processor a GiB\n`)
  return {
    megabytesPerSecond: SIZE / 1e6 / seconds,
    cpuSeconds: perGiB(after[0]! + after[1]! - before[0]! - before[1]!),
  }
}

function perGiB(seconds: number): number {
  return (seconds * 2 ** 30) / SIZE
}

/** User and system time of a daemon so far, in seconds. Linux counts in hundredths (proc(5), stat). */
function cpuOf(daemon: Daemon): number {
  const [, fields] = readFileSync(`/proc/${daemon.process.pid}/stat`, 'utf8').split(') ')
  const [user, system] = fields!.split(' ').slice(11, 13)
  return (Number(user) + Number(system)) / 100
}
