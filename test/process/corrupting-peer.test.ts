import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundleDaemon } from '../../build.mjs'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { storedChunks } from '../support/store.ts'
import { eventually } from '../support/wait.ts'

const SIZE = 96 * 2 ** 20

interface Peers {
  peers: { node: string; name: string; bytes: number; banned?: boolean }[]
}

let box: Sandbox
let seed: Daemon
let corrupter: Daemon
let receivers: Daemon[]

beforeAll(async () => {
  const program = resolve(import.meta.dirname, '../../dist/test/corrupting-fleetd.js')
  await bundleDaemon(program, { 'daemon/images/wire.ts': 'test/process/corrupting-wire.ts' })
  box = await sandbox()
  const daemons = await box.fleet(5, index => (index === 1 ? { name: 'corrupter', program } : {}))
  ;[seed, corrupter, ...receivers] = daemons as [Daemon, Daemon, ...Daemon[]]
}, 120_000)
afterAll(() => box?.close())

test('a peer that flips a bit in one chunk of a hundred is named and banned by everybody, and no wrong byte is stored', async () => {
  const content = randomBytes(SIZE)
  const file = join(box.dir, 'disk.img')
  writeFileSync(file, content)
  const { digest } = await seed.json<{ digest: string }>(
    ...['--timeout', '120s', 'image', 'build', file, '--name', 'disk', '--version', '1', '--kind', 'file'],
  )
  const fetchAll = (daemon: Daemon) => daemon.ctl('--timeout', '120s', '--format', 'json', 'image', 'fetch', digest)
  expect((await fetchAll(corrupter)).code).toBe(0)

  // With the honest holder away, each receiver has to ask the other for its bad chunks sooner or later.
  seed.kill('SIGKILL')
  await seed.exited()
  const fetches = receivers.map(fetchAll)
  for (const receiver of receivers) {
    const banned = await eventually(
      `${receiver.name} to ban it`,
      async () => {
        const { code, stdout } = await receiver.ctl('--format', 'json', 'image', 'peers', digest)
        return code === 0 && (JSON.parse(stdout) as Peers).peers.find(peer => peer.banned === true)
      },
      { seconds: 60, everyMs: 200, seen: () => receiver.log().slice(-1000) },
    )
    expect(banned.name).toBe('corrupter')
    expect(receiver.log()).toMatch(/peer 12D3Koo\w+ is banned for image disk:1: /)
  }
  expect(corrupter.log()).toContain('a bit is flipped')

  seed = await seed.restart()
  for (const result of await Promise.all(fetches)) expect(result.code, result.stderr).toBe(0)
  for (const receiver of receivers) {
    const { good, wrong } = storedChunks(receiver.dir)
    expect(wrong).toEqual([])
    expect(good).toBe(SIZE)
    expect((await receiver.ctl('--timeout', '60s', 'image', 'verify', digest)).code).toBe(0)
    const { peers } = await receiver.json<Peers>('image', 'peers', digest)
    expect(peers.filter(peer => peer.banned === true).map(peer => peer.name)).toEqual(['corrupter'])
  }
  expect(readFileSync(file).equals(content)).toBe(true)
}, 180_000)
