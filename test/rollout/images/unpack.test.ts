import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FleetError } from '../../../protocol/index.ts'
import { tarOf, unpackTree } from '../../../rollout/index.ts'
import { tarHeader } from '../../support/tar-header.ts'
import { type Scratch, scratch } from './support.ts'

type Entry = Parameters<ReturnType<typeof pack>['entry']>[0] & { content?: string }

let box: Scratch
let slots = 0
beforeEach(async () => {
  box = await scratch()
  await mkdir(join(box.dir, 'outside'))
  await writeFile(join(box.dir, 'outside', 'precious'), 'as it was')
})
afterEach(() => box.close())

const { signal } = new AbortController()

async function bytesOf(input: AsyncIterable<unknown>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of input) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
async function archive(...entries: Entry[]): Promise<Buffer> {
  const tar = pack()
  for (const { content = '', ...header } of entries) tar.entry(header, content)
  tar.finalize()
  return bytesOf(tar)
}
/** Unpacks bytes into a new slot, in pieces of a size that is no multiple of anything. */
async function unpack(bytes: Uint8Array): Promise<string> {
  const slot = join(box.dir, `slot-${slots++}`)
  await mkdir(slot)
  async function* pieces() {
    for (let at = 0; at < bytes.byteLength; at += 777) yield bytes.subarray(at, at + 777)
  }
  await unpackTree(pieces(), slot, signal)
  return slot
}
/** Everything beside the slots, as it must stay. Not one recursive readdir: that walks through a slot's links too, and one of them leads to `/`. */
async function outside(): Promise<unknown> {
  const beside = (await readdir(box.dir)).filter(name => !name.startsWith('slot-')).sort()
  const within = await readdir(join(box.dir, 'outside'))
  return [beside, within, await readFile(join(box.dir, 'outside', 'precious'), 'utf8')]
}

test('a directory comes out as it went in, with long names, links and empty files', async () => {
  const source = join(box.dir, 'source')
  const deep = `${'d'.repeat(200)}/${'ü'.repeat(100)}`
  await mkdir(join(source, deep), { recursive: true })
  await writeFile(join(source, deep, 'file'), 'content')
  await writeFile(join(source, 'run.sh'), '#!/bin/sh', { mode: 0o755 })
  await writeFile(join(source, 'empty'), '')
  await symlink('/etc/localtime', join(source, 'zone'))
  const bytes = await bytesOf(tarOf(source, signal))
  const slot = await unpack(bytes)
  expect(await readFile(join(slot, deep, 'file'), 'utf8')).toBe('content')
  expect((await lstat(join(slot, 'run.sh'))).mode & 0o777).toBe(0o755)
  expect(await readlink(join(slot, 'zone'))).toBe('/etc/localtime')
  expect(Buffer.compare(await bytesOf(tarOf(slot, signal)), bytes)).toBe(0)
})

const OUT = 'leads out of its directory'
test.each<[string, Entry[], string]>([
  ['..', [{ name: '../outside/new', content: 'x' }], OUT],
  ['.. on the way', [{ name: 'a/' }, { name: 'a/../../outside/precious', content: 'x' }], OUT],
  ['an absolute path', [{ name: '/tmp/fleetd-escaped', content: 'x' }], OUT],
  ['the directory itself', [{ name: './', type: 'directory' }], OUT],
  [
    'a path through a link to a directory',
    [
      { name: 'a', type: 'symlink', linkname: '../outside' },
      { name: 'a/precious', content: 'x' },
    ],
    'leads through a symbolic link',
  ],
  [
    'a file over a link to a file',
    [
      { name: 'a', type: 'symlink', linkname: '../outside/precious' },
      { name: 'a', content: 'x' },
    ],
    'twice',
  ],
  [
    'a directory over a link',
    [
      { name: 'a', type: 'symlink', linkname: '../outside' },
      { name: 'a/', type: 'directory' },
      { name: 'a/precious', content: 'x' },
    ],
    'twice',
  ],
  ['a hard link', [{ name: 'a', type: 'link', linkname: '../outside/precious' }], 'of type link'],
  ['a block device', [{ name: 'a', type: 'block-device', devmajor: 8 }], 'of type block-device'],
  ['a character device', [{ name: 'a', type: 'character-device', devmajor: 1 }], 'of type character-device'],
  ['a pipe', [{ name: 'a', type: 'fifo' }], 'of type fifo'],
  [
    'a file twice',
    [
      { name: 'a', content: 'x' },
      { name: './a', content: 'y' },
    ],
    'twice',
  ],
  [
    'a file under a file',
    [
      { name: 'a', content: 'x' },
      { name: 'a/b', content: 'y' },
    ],
    'in no directory',
  ],
  ['a file in a directory that is not there', [{ name: 'a/b', content: 'x' }], 'in no directory'],
  ['a name of 300 letters', [{ name: 'n'.repeat(300), content: 'x' }], 'longer than a disk takes'],
  ['a path of 6000 letters', [{ name: 'n/'.repeat(3000) + 'n', content: 'x' }], 'longer than a disk takes'],
  ['a name that is no UTF-8', [{ name: '\ufffd', content: 'x' }], 'no UTF-8'],
  ['a link to nowhere', [{ name: 'a', type: 'symlink', linkname: 'l'.repeat(5000) }], 'leads to nothing'],
])('%s is refused', async (_, entries, why) => {
  const before = await outside()
  const unpacking = unpack(await archive(...entries))
  await expect(unpacking).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining(why) })
  expect(await outside()).toEqual(before)
})

const record = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)])

test.each<[string, Buffer, RegExp]>([
  ['an extended header of 4 GiB', tarHeader('x', '40000000000\0'), /extended header of 4294967296 bytes/],
  ['a long name of 1 MiB', tarHeader('L', '00004000000\0'), /of 1048576 bytes/],
  ['a size past all numbers', tarHeader('0', Buffer.alloc(12, 0xff).fill(0x80, 0, 1)), /no size that could be/],
  ['a negative size', tarHeader('0', Buffer.alloc(12, 0xff)), /no size that could be/],
  ['a size that is no number', tarHeader('0', 'nonsense'), /no size that could be/],
  ['a file of 8 GiB that is not there', tarHeader('0', '77777777777\0'), /ends in the middle|cannot be unpacked/],
  [
    'a directory with content',
    Buffer.concat([tarHeader('5', '00000001000\0'), tarHeader('0', '0')]),
    /no file has content/,
  ],
  ['an old directory with content', tarHeader('0', '00000001000\0', 'a/'), /directory has content/],
  ['a global header', tarHeader('g', '00000000014\0'), /of kind "g"/],
  ['a sparse file', tarHeader('S', '0'), /of kind "S"/],
  [
    'another size in an extended header',
    Buffer.concat([tarHeader('x', '00000000014\0'), record('12 size=99\n\n'), tarHeader('0', '0')]),
    /changes the size/,
  ],
  ['no tar at all', Buffer.alloc(2048, 'x'), /cannot be unpacked/],
])('%s is refused', async (_, bytes, why) => {
  const error: unknown = await unpack(bytes).then(
    () => undefined,
    thrown => thrown,
  )
  expect(error).toBeInstanceOf(FleetError)
  expect(error).toMatchObject({ code: 'refused', message: expect.stringMatching(why) })
})

const part = fc.constantFrom('a', 'b', '..', '.', '', 'outside', 'precious', 'c'.repeat(260))
const path = fc
  .tuple(fc.constantFrom('', '/', './', '../'), fc.array(part, { minLength: 1, maxLength: 4 }))
  .map(([lead, parts]) => lead + parts.join('/'))
const entry: fc.Arbitrary<Entry> = fc
  .record({
    name: path,
    type: fc.constantFrom('file', 'directory', 'symlink', 'link', 'fifo'),
    linkname: fc.oneof(path, fc.constantFrom('../outside', '../outside/precious', '/', '..')),
    content: fc.constant('x'),
  })
  .map(({ content, linkname, ...rest }) =>
    rest.type === 'file' ? { ...rest, content } : rest.type.endsWith('link') ? { ...rest, linkname } : rest,
  ) as fc.Arbitrary<Entry>

test('whatever an archive holds, nothing outside of the slot is made, changed or removed', async () => {
  const before = await outside()
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 6 }), async entries => {
      const bytes = await archive(...entries).catch(() => undefined) // tar-stream itself refuses some
      if (bytes === undefined) return
      await unpack(bytes).catch(error => expect(error).toMatchObject({ code: 'refused' }))
      expect(await outside()).toEqual(before)
      await rm(join(box.dir, `slot-${slots - 1}`), { recursive: true })
    }),
    { numRuns: 400 },
  )
})
