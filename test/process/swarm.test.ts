import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import { storedChunks } from '../support/store.ts'
import { eventually } from '../support/wait.ts'

const MIB = FULL ? 256 : 64
const SIZE = MIB * 2 ** 20
const RECEIVERS = 8

interface Peers {
  peers: { node: string; name: string; bytes: number; sent?: number; banned?: boolean }[]
}

let box: Sandbox
let daemons: Daemon[]
let digest: string

beforeAll(async () => {
  box = await sandbox()
  daemons = await box.fleet(RECEIVERS + 1)
  const file = join(box.dir, 'disk.img')
  await pipeline(function* () {
    for (let i = 0; i < MIB; i++) yield randomBytes(2 ** 20)
  }, createWriteStream(file))
  ;({ digest } = await daemons[0]!.json<{ digest: string }>(
    '--timeout',
    '120s',
    'image',
    'build',
    file,
    '--name',
    'disk',
    '--version',
    '1',
    '--kind',
    'file',
  ))
}, 240_000)
afterAll(() => box?.close())

const fetchImage = (daemon: Daemon) => daemon.ctl('--timeout', '300s', '--format', 'json', 'image', 'fetch', digest)
const lines = (text: string): { done: number; total: number; reused: number }[] =>
  text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

test(`an image of ${MIB} MiB reaches eight others, the seed uploads at most twice its size, and a receiver killed half-way fetches at most 2 % again`, async () => {
  const [seed, ...receivers] = daemons as [Daemon, ...Daemon[]]
  const victim = receivers[3]!
  const fetches = receivers.filter(daemon => daemon !== victim).map(fetchImage)
  const interrupted = fetchImage(victim)
  const before = await eventually(
    'the victim to have about half',
    () => {
      const bytes = storedBytes(victim)
      return bytes > SIZE * 0.45 && bytes
    },
    { seconds: 200, everyMs: 20 },
  )
  victim.kill('SIGKILL')
  await Promise.all([victim.exited(), interrupted])
  const kept = storedBytes(victim)
  expect(kept).toBeGreaterThanOrEqual(before * 0.98)

  const revived = await victim.restart()
  daemons[4] = revived
  const resumed = await fetchImage(revived)
  expect(resumed.code, resumed.stderr).toBe(0)
  const fetched = await received(revived)
  console.log(
    `victim: had ${mib(kept)} when killed, fetched ${mib(fetched)} after its restart, ${mib(fetched + kept - SIZE)} of it again`,
  )
  expect(fetched + kept - SIZE).toBeLessThanOrEqual(SIZE * 0.02)

  for (const result of await Promise.all(fetches)) {
    expect(result.code, result.stderr).toBe(0)
    expect(lines(result.stdout).at(-1)!.done).toBe(SIZE)
  }
  const sent = (await seed.json<Peers>('image', 'peers', digest)).peers.reduce((sum, peer) => sum + (peer.sent ?? 0), 0)
  console.log(
    `seed: uploaded ${mib(sent)} for an image of ${mib(SIZE)} to ${RECEIVERS} receivers: ${(sent / SIZE).toFixed(2)} times its size`,
  )
  expect(sent).toBeGreaterThan(SIZE * 0.9)
  expect(sent).toBeLessThanOrEqual(SIZE * 2)
  for (const daemon of daemons) expect((await daemon.ctl('--timeout', '120s', 'image', 'verify', digest)).code).toBe(0)
}, 420_000)

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

const received = async (daemon: Daemon): Promise<number> =>
  (await daemon.json<Peers>('image', 'peers', digest)).peers.reduce((sum, peer) => sum + peer.bytes, 0)

/** Bytes of whole chunks on the disk of a daemon that may be dead. */
const storedBytes = (daemon: Daemon): number => storedChunks(daemon.dir).good
