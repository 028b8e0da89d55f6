import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Imported } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { rotChunk, storedChunks } from '../support/store.ts'
import { eventually } from '../support/wait.ts'

const SIZE = 6 * 2 ** 20

let box: Sandbox
let origin: Daemon
let site: Daemon
let neighbour: Daemon
const bundle = (name: string): string => join(box.dir, `${name}.bundle`)

/** Images v1 and v2 of which the second has a little more, as bundles; then the origin goes, and two others begin that never see it. */
beforeAll(async () => {
  box = await sandbox()
  ;[origin] = (await box.fleet(1)) as [Daemon]
  const content = randomBytes(SIZE)
  const versions = { v1: content, v2: Buffer.concat([content.subarray(0, SIZE / 2), randomBytes(100), content]) }
  for (const [version, bytes] of Object.entries(versions)) {
    const file = join(box.dir, version)
    writeFileSync(file, bytes)
    await origin.json('image', 'build', file, '--name', 'disk', '--version', version)
  }
  await origin.json('image', 'export', 'disk:v1', '-o', bundle('v1'))
  await origin.json('image', 'export', 'disk:v2', '--since', 'disk:v1', '-o', bundle('delta'))
  const { token } = await origin.json<{ token: string }>('invite', '--ttl', '1h')
  origin.kill('SIGKILL')
  await origin.exited()
  site = await box.start({ name: 'site', join: [token] })
  neighbour = await box.start({ name: 'neighbour', join: [token, `127.0.0.1:${site.port}`] })
}, 60_000)
afterAll(() => box?.close())

test('a node that never saw the origin takes its image out of a file and gives it to its LAN', async () => {
  const refused = await site.ctl('image', 'import', bundle('delta'))
  expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('was exported with --since image') })
  const { digest } = await site.json<Imported>('image', 'import', bundle('v1'))
  const fetched = await eventually('the neighbour to have it', async () => {
    const result = await neighbour.ctl('--timeout', '20s', 'image', 'fetch', digest)
    return result.code === 0 && result
  })
  expect(fetched.stdout).toContain('here and verified')
  const { good, wrong } = storedChunks(neighbour.dir)
  expect({ good, wrong }).toEqual({ good: SIZE, wrong: [] })

  expect(statSync(bundle('delta')).size).toBeLessThan(SIZE / 4)
  const imported = await neighbour.json<Imported>('image', 'import', bundle('delta'))
  expect(imported.newChunks).toBeLessThan(imported.chunks / 4)
  expect((await neighbour.ctl('image', 'verify', 'disk:v2')).code).toBe(0)
}, 60_000)

/** Nothing but what is right is on the disk: what is damaged goes when its pack has been written anew. */
const whole = (daemon: Daemon): Promise<unknown> =>
  eventually('what was damaged to be gone from the disk', () => {
    const { good, wrong } = storedChunks(daemon.dir)
    return good === SIZE && wrong.length === 0
  })

test('a byte that flipped on the disk is named, and comes anew from a peer; where none has it, it is told and comes from the file', async () => {
  rotChunk(site.dir)
  const mended = await site.ctl('image', 'verify', '--repair', 'disk:v1')
  expect(mended.stdout, mended.stderr).toContain('1 that were damaged or missing came anew from peers')
  await whole(site)
  expect(site.log()).toContain('was damaged on this disk and is not offered any more; it is of disk:v1')

  rotChunk(site.dir)
  await neighbour.json('image', 'rm', 'disk:v1')
  await eventually('the site to know that nobody else has it', async () => {
    const { peers } = await site.json<{ peers: { offers: boolean }[] }>('image', 'peers', 'disk:v1')
    return peers.every(({ offers }) => !offers)
  })
  const alone = await site.ctl('image', 'verify', '--repair', 'disk:v1')
  expect(alone).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/1 are damaged \(.+\) and 0 are missing; 0 came anew/),
  })
  expect((await site.json<Imported>('image', 'import', bundle('v1'))).newChunks).toBe(1)
  await whole(site)
})

test('a bundle that was cut, changed or is none is refused in a sentence', async () => {
  const changed = readFileSync(bundle('v1'))
  changed[400]! ^= 1
  writeFileSync(bundle('changed'), changed)
  writeFileSync(bundle('cut'), readFileSync(bundle('v1')))
  truncateSync(bundle('cut'), SIZE / 2)
  for (const [file, why] of [
    [bundle('changed'), /^fleetctl: image import: .+\n$/],
    [bundle('cut'), /the bundle is cut short: it ends after \d+ bytes of \d+ bytes/],
    [join(box.dir, 'v1'), /no bundle that this version of fleetd understands/],
    [join(box.dir, 'nothing'), /there is no such file on the daemon's host/],
  ] as const) {
    const { code, stderr } = await site.ctl('image', 'import', file)
    expect(code).not.toBe(0)
    expect(stderr).toMatch(why)
  }
})
