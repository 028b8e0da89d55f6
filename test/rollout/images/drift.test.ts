import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seal, unseal } from '../../../daemon/drivers/slot-tree.ts'
import type { Digest } from '../../../protocol/index.ts'
import {
  buildImage,
  contentOf,
  driftOf,
  type ImageStore,
  openStore,
  unpackFile,
  unpackTree,
} from '../../../rollout/index.ts'
import { imageOf, memoryMetadata, noise, type Scratch, scratch } from './support.ts'

const { signal } = new AbortController()
let disk: Scratch
let store: ImageStore
let slot: string
let image: Digest
beforeEach(async () => {
  disk = await scratch()
  store = await openStore(join(disk.dir, 'store'), memoryMetadata())
  const source = join(disk.dir, 'source')
  mkdirSync(join(source, 'lib/deep'), { recursive: true })
  mkdirSync(join(source, 'var/cache'), { recursive: true })
  writeFileSync(join(source, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  writeFileSync(join(source, 'lib/deep/data'), noise(300_000, 1))
  writeFileSync(join(source, 'lib/empty'), '')
  symlinkSync('run.sh', join(source, 'start'))
  const request = { path: source, name: 'shop', version: 'v1', kind: 'tree', labels: {}, provenance: {} } as const
  image = (await buildImage(store, request, { signal })).digest
  slot = join(disk.dir, 'slot')
  mkdirSync(slot)
  await unpackTree(contentOf(store, image), slot, signal)
  await seal(slot, signal)
})
afterEach(async () => {
  await unseal(slot)
  await disk.close()
})

const drift = (ignore: string[] = []) => driftOf(store, image, slot, { signal, ignore, pace: async () => undefined })
const open = (path: string): void => chmodSync(join(slot, path), 0o755)
const found = async (ignore: string[] = []): Promise<string[]> =>
  (await drift(ignore)).differences.map(({ path, what }) => `${what} ${path}`)

describe('a slot beside its image', () => {
  it('is the same as it was unpacked', async () => {
    expect(await drift()).toMatchObject({ files: 8, bytes: 300_010, differences: [], total: 0 })
  })

  it('shows a changed byte of a file whose size, time and mode are as they were', async () => {
    open('lib/deep/data')
    const content = readFileSync(join(slot, 'lib/deep/data'))
    content[200_000]! ^= 1
    writeFileSync(join(slot, 'lib/deep/data'), content)
    chmodSync(join(slot, 'lib/deep/data'), 0o444)
    expect(await found()).toEqual(['content lib/deep/data'])
  })

  it('shows what is missing, what is there besides, and what is something else', async () => {
    for (const path of ['.', 'lib']) open(path)
    rmSync(join(slot, 'lib/empty'))
    writeFileSync(join(slot, 'lib/added'), 'x')
    mkdirSync(join(slot, 'more'))
    writeFileSync(join(slot, 'more/inside'), 'x')
    rmSync(join(slot, 'start'))
    symlinkSync('/bin/sh', join(slot, 'start'))
    rmSync(join(slot, 'run.sh'))
    mkdirSync(join(slot, 'run.sh'))
    chmodSync(join(slot, 'lib'), 0o555)
    expect(await found()).toEqual([
      'extra lib/added',
      'missing lib/empty',
      'extra more',
      'extra more/inside',
      'type run.sh',
      'link start',
    ])
  })

  it('shows who may write, or run, or be somebody else by it', async () => {
    chmodSync(join(slot, 'lib/empty'), 0o644)
    chmodSync(join(slot, 'run.sh'), 0o444)
    chmodSync(join(slot, 'lib/deep/data'), 0o4444)
    open('lib/deep')
    expect(await found()).toEqual(['mode lib/deep', 'mode lib/deep/data', 'mode lib/empty', 'mode run.sh'])
  })

  it('does not look at what the program may write to', async () => {
    open('var/cache')
    writeFileSync(join(slot, 'var/cache/page'), 'x')
    expect(await found()).toEqual(['mode var/cache', 'extra var/cache/page'])
    expect(await found(['var/cache'])).toEqual([])
    expect(await found(['var'])).toEqual([])
    expect(await found(['var/cach'])).not.toEqual([])
  })

  it('is compared with what the store can prove, and with nothing where a chunk is gone', async () => {
    const [first] = store.image(image)!.index
    await store.remove({ images: [], chunks: [first!.digest] })
    await expect(drift()).rejects.toThrow(/is not here/)
  })

  it('is a file for an image that is one', async () => {
    const { digest } = await imageOf(store, disk.dir, 'blob', noise(100_000, 2))
    const other = join(disk.dir, 'other')
    mkdirSync(other)
    await unpackFile(contentOf(store, digest), other, signal)
    await seal(other, signal)
    const compare = () => driftOf(store, digest, other, { signal, ignore: [], pace: async () => undefined })
    expect((await compare()).total).toBe(0)
    chmodSync(join(other, 'image'), 0o644)
    writeFileSync(join(other, 'image'), noise(100_000, 3))
    chmodSync(join(other, 'image'), 0o444)
    expect((await compare()).differences).toEqual([{ path: 'image', what: 'content' }])
    await unseal(other)
  })
})
