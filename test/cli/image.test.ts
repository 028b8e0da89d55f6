import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Digest, FleetError } from '../../protocol/index.ts'
import type { Fake } from '../daemon/api/fake-service.ts'
import { type Bench, bench } from './support.ts'

let ctl: Bench
let fake: Fake
let shop: string
beforeAll(async () => {
  ctl = await bench()
  shop = join(ctl.dir, 'shop')
  await mkdir(shop)
})
beforeEach(async () => {
  fake = await ctl.claimed()
})
afterAll(() => ctl.close())

const build = (...more: string[]): readonly string[] => [
  'image',
  'build',
  shop,
  '--name',
  'shop',
  '--version',
  'v1',
  ...more,
]

test('build prints the digest, and the image is signed by the publisher who built it', async () => {
  const provenance = join(ctl.dir, 'provenance.json')
  await writeFile(provenance, JSON.stringify({ appRevision: 'abc', dependencies: { zod: '4' } }))
  const { code, stdout, stderr } = await ctl.run(build('--label', 'team=a', '--provenance', provenance))
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
  const image = fake.images.get(stdout.trim() as Digest)!
  expect(image).toMatchObject({ name: 'shop', version: 'v1', kind: 'tree', endorsed: true })
  expect(image.endorsers).toEqual(fake.authority!.policy.publishers)
  expect(image.manifest).toMatchObject({
    labels: { team: 'a' },
    provenance: { appRevision: 'abc', dependencies: { zod: '4' } },
  })
})

test('build gives one JSON object with what was built', async () => {
  const built = await ctl.json(...build())
  expect(built).toMatchObject({ name: 'shop', version: 'v1', size: 4096, chunks: 3, newChunks: 2 })
})

test('a file becomes an image of kind file', async () => {
  const file = join(ctl.dir, 'disk.img')
  await writeFile(file, 'x')
  const { digest } = await ctl.json<{ digest: Digest }>('image', 'build', file, '--name', 'disk', '--version', '1')
  expect(fake.images.get(digest)!.kind).toBe('file')
})

test('nothing is built that could not be signed, or from what is not there', async () => {
  const other = join(ctl.dir, 'other.key')
  await ctl.run(['key', 'new', '--key', other])
  const stranger = await ctl.run([...build(), '--key', other])
  expect(stranger.code).toBe(5)
  expect(stranger.stderr).toContain('is no publisher of this fleet')
  const nothing = await ctl.run(['image', 'build', join(ctl.dir, 'nothing'), '--name', 'a', '--version', '1'])
  expect(nothing.code).toBe(2)
  await writeFile(join(ctl.dir, 'bad.json'), '{"colour":"red"}')
  expect((await ctl.run(build('--provenance', join(ctl.dir, 'bad.json')))).code).toBe(2)
  expect(fake.images.size).toBe(0)
  fake.failNext = new FleetError('no-space', 'the disk is full')
  expect(await ctl.run(['--format', 'text', 'info'])).toMatchObject({ code: 1 })
})

test('list and inspect show an image to people and programs', async () => {
  expect((await ctl.run(['image', 'list'])).stdout).toContain('no images yet')
  await ctl.json(...build())
  const rows = (await ctl.run(['image', 'list'])).stdout.trimEnd().split('\n')
  expect(rows[1]!.split(/ {2,}/)).toEqual(['shop:v1', expect.any(String), 'tree', '4.0 KiB', '3', 'whole', '-', 'yes'])
  expect(await ctl.json('image', 'list')).toMatchObject({ images: [{ name: 'shop' }] })
  expect(await ctl.json('image', 'inspect', 'shop:v1')).toMatchObject({ endorsed: true, manifest: { format: 1 } })
  expect((await ctl.run(['image', 'inspect', 'shop:v1'])).stdout).toMatch(/^image +shop:v1\n/)
  const missing = await ctl.run(['image', 'inspect', 'shop:v9'])
  expect(missing).toMatchObject({
    code: 1,
    stderr: 'fleetctl: image inspect: no image shop:v9; see: fleetctl image list\n',
  })
})

test('fetch tells its progress in JSON lines, the last of which is whole', async () => {
  await ctl.json(...build())
  const { code, stdout } = await ctl.run(['--format', 'json', 'image', 'fetch', 'shop:v1'])
  expect(code).toBe(0)
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  expect(lines.map(line => line.done)).toEqual([1024, 4096])
  expect(Object.keys(lines[0]!).sort()).toEqual(['done', 'etaSeconds', 'peers', 'rate', 'reused', 'total'])
  expect((await ctl.run(['image', 'fetch', 'shop:v1'])).stdout).toMatch(/^shop:v1: 4\.0 KiB here and verified/)
})

test('a fetch that fails half-way says why, with its exit code', async () => {
  await ctl.json(...build())
  let shown = (): void => undefined
  const wasShown = new Promise<void>(done => {
    shown = done
  })
  fake.service.fetchImage = async (_ref, progress) => {
    progress({ done: 1, total: 2, reused: 0, rate: 1, etaSeconds: null, peers: 1 })
    await wasShown
    throw new FleetError('corrupt', 'every peer sent bad bytes')
  }
  const { code, stderr } = await ctl.run(['image', 'fetch', 'shop:v1', '--format', 'json'], { onStdout: shown })
  expect(code).toBe(1)
  expect(JSON.parse(stderr)).toEqual({ error: { code: 'corrupt', message: 'every peer sent bad bytes' } })
})

test('export writes a file that is there whole or not at all, or to standard output', async () => {
  await ctl.json(...build())
  const file = join(ctl.dir, 'out', 'shop.bundle')
  await mkdir(join(ctl.dir, 'out'))
  const { stdout } = await ctl.run(['image', 'export', 'shop:v1', '--since', 'shop:v0', '--with-plan', '-o', file])
  expect(stdout).toBe(`${file}: 41 B\n`)
  expect(await readFile(file, 'utf8')).toBe('bundle of shop:v1 since shop:v0 with plan')
  const piped = await ctl.run(['image', 'export', 'shop:v1', '--output', '-'])
  expect(piped).toMatchObject({ code: 0, stdout: 'bundle of shop:v1 since ever' })
  const nowhere = await ctl.run(['image', 'export', 'shop:v1', '-o', join(ctl.dir, 'nowhere', 'x')])
  expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot write') })

  fake.service.exportImage = async () => ({
    name: 'shop.bundle',
    size: 100,
    async send(write) {
      await write(Buffer.alloc(40))
      await new Promise(done => setImmediate(done)) // it is on its way
      throw new FleetError('corrupt', 'a chunk is damaged')
    },
  })
  const cut = await ctl.run(['image', 'export', 'shop:v1', '-o', join(ctl.dir, 'out', 'other')])
  expect(cut).toMatchObject({ code: 8, stderr: expect.stringMatching(/stopped after \d+ of 100 bytes/) })
  expect(await readdir(join(ctl.dir, 'out'))).toEqual(['shop.bundle'])
  expect((await ctl.run(['image', 'export', 'shop:v1'])).code).toBe(2)
})

test('import says what came of it, and of the plans that came along', async () => {
  const file = join(ctl.dir, 'shop.bundle')
  expect(await ctl.json('image', 'import', file)).toMatchObject({ name: 'shop', newChunks: 2, policies: 1 })
  expect((await ctl.run(['image', 'import', file])).stdout).toBe(
    `shop:v1 is here and verified: 4.0 KiB in 3 chunks, 2 of them new
the fleet's policy is newer by 1 version than it was here
generation 3 of group web has begun
generation 1 of group db was not begun: it is for another group
`,
  )
  fake.failNext = new FleetError('corrupt', 'the bundle is cut short')
  expect(await ctl.run(['image', 'import', file])).toMatchObject({
    code: 1,
    stderr: 'fleetctl: image import: the bundle is cut short\n',
  })
})

test('verify exits with 1 when a chunk is damaged', async () => {
  const { digest } = await ctl.json<{ digest: Digest }>(...build())
  expect((await ctl.run(['image', 'verify', 'shop:v1'])).code).toBe(0)
  fake.damaged = [digest]
  const bad = await ctl.run(['image', 'verify', 'shop:v1'])
  expect(bad.code).toBe(1)
  expect((await ctl.run(['image', 'verify', '--repair', 'shop:v1'])).stdout).toContain(
    '1 that were damaged or missing came anew',
  )
  expect(bad.stderr).toMatch(/of 3 chunks 1 are damaged \([0-9a-f]{12}\) and 0 are missing/)
})

test('peers names whom an image came from, and who was banned', async () => {
  await ctl.json(...build())
  expect(await ctl.json('image', 'peers', 'shop:v1')).toMatchObject({
    peers: [{ name: 'beta', bytes: 3072 }, { banned: true }],
  })
  expect((await ctl.run(['image', 'peers', 'shop:v1'])).stdout).toMatch(/liar .*sent bad bytes/)
})

test('a pinned image cannot be removed until it is unpinned, and is shown as kept', async () => {
  await ctl.json(...build())
  expect(await ctl.json('image', 'pin', 'shop:v1')).toMatchObject({ name: 'shop', version: 'v1', pinned: true })
  expect((await ctl.run(['image', 'list'])).stdout).toMatch(/ pinned /)
  const refused = await ctl.run(['image', 'rm', 'shop:v1'])
  expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('it is pinned') })
  expect((await ctl.run(['image', 'unpin', 'shop:v1'])).stdout).toBe('shop:v1 goes when its space is needed\n')
  expect(await ctl.json('image', 'rm', 'shop:v1')).toMatchObject({ name: 'shop', bytes: 4096 })
  expect((await ctl.run(['image', 'rm', 'shop:v1'])).code).toBe(1)
})

test('gc tells what goes and what the store takes, and with --dry-run only tells', async () => {
  await ctl.json(...build())
  expect(await ctl.json('image', 'gc')).toMatchObject({ images: [], bytes: 0, quota: 2 ** 30 })
  const dry = await ctl.run(['image', 'gc', '--all', '--dry-run'])
  expect(dry.stdout.split('\n')).toEqual([
    'would remove shop:v1',
    '3 chunks, 4.0 KiB would come free',
    'the store takes 8.0 KiB of 1.0 GiB; the disk has 2.0 GiB left and keeps 256 MiB',
    '',
  ])
  expect(fake.images.size).toBe(1)
  expect((await ctl.run(['image', 'gc', '--all'])).stdout).toContain('removed shop:v1\n')
  expect(fake.images.size).toBe(0)
})
