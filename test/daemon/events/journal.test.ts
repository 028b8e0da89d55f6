import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readBatches, sealBatch } from '../../../daemon/events/batches.ts'
import { type Journal, openJournal } from '../../../daemon/events/journal.ts'
import { type Kept, keptOf, NO_EVENTS, type Remembered, restore } from '../../../membership/index.ts'
import { EVENT, generateKeyPair, nodeIdOf, sign } from '../../../protocol/index.ts'
import { fleet, NOW } from '../../protocol/fleet.ts'

const home = fleet()
const key = generateKeyPair()
const self = nodeIdOf(key.publicKey)
let dir: string
let folder: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'journal-test-'))
  folder = join(dir, 'events')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const delivered = (cursor: number, size = 10): Remembered => ({
  type: 'deliver',
  event: {
    cursor,
    told: cursor % 2 === 0,
    statement: sign(
      EVENT,
      home.id,
      NOW,
      {
        node: self,
        seq: cursor,
        ltime: cursor,
        name: 'n',
        payload: new Uint8Array(size).fill(cursor),
        coalesce: false,
        after: [],
      },
      [key],
    ),
  },
})
const SYNC = { sync: true }
const open = (): Promise<Journal> => openJournal(folder, home.id, self)
const plainOf = (kept: Kept) => ({ ...kept, bytes: Buffer.from(kept.bytes).toString('hex') })
const cursorsOf = ({ kept }: Journal): number[] => kept.map(({ cursor }) => cursor)

test('what was appended is there again, as it was and in its order', async () => {
  const written: Remembered[] = [delivered(1), { type: 'lost', node: self, from: 2, to: 3 }, delivered(4)]
  const first = await open()
  expect(first.state).toEqual(NO_EVENTS)
  await first.append(written.slice(0, 1), SYNC)
  await first.append(written.slice(1), SYNC)
  await first.close()
  const second = await open()
  expect(second.kept.map(plainOf)).toEqual(
    written.flatMap(item => (item.type === 'deliver' ? [plainOf(keptOf(item.event))] : [])),
  )
  expect(second.state).toEqual(restore(self, NO_EVENTS, written))
  await second.close()
})

test('a write that a crash cut short, anywhere, is as if it had not been, and the journal goes on', async () => {
  const first = await open()
  await first.append([delivered(1)], SYNC)
  const [name] = await readdir(folder)
  const path = join(folder, name!)
  const whole = (await readFile(path)).byteLength
  await first.append([delivered(2), delivered(3)], SYNC)
  await first.close()
  const content = await readFile(path)
  for (const cut of [whole, whole + 1, whole + 39, whole + 41, content.byteLength - 1]) {
    await writeFile(path, content)
    await truncate(path, cut)
    const journal = await open()
    expect(cursorsOf(journal)).toEqual([1])
    await journal.append([delivered(2)], SYNC)
    await journal.close()
    const again = await open()
    expect(cursorsOf(again)).toEqual([1, 2])
    await again.close()
  }
})

test('pages that a power cut left as zeros behind the end are no damage', async () => {
  const first = await open()
  await first.append([delivered(1)], SYNC)
  await first.close()
  const [name] = await readdir(folder)
  await appendFile(join(folder, name!), new Uint8Array(4_096))
  const second = await open()
  expect(cursorsOf(second)).toEqual([1])
  await second.close()
})

test('a flipped bit in what was acknowledged is an error that names the file, never an event less', async () => {
  const first = await open()
  await first.append([delivered(1)], SYNC)
  await first.append([delivered(2)], SYNC)
  await first.append([delivered(3)], SYNC)
  await first.close()
  const [name] = await readdir(folder)
  const path = join(folder, name!)
  const content = await readFile(path)
  const { length } = sealBatch(new Uint8Array(), 0)
  // Within the header and the body of the batch in the middle.
  const middle = content.indexOf(content.subarray(0, 4), content.indexOf(content.subarray(0, 4), length) + length)
  for (const at of [middle, middle + 6, middle + 20, middle + length + 30]) {
    const bent = Buffer.from(content)
    bent[at]! ^= 0x10
    await writeFile(path, bent)
    await expect(open()).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining(path) })
  }
})

test('a hole that a power cut left before what was never synced is no damage: the journal ends there', async () => {
  const first = await open()
  await first.append([delivered(1)], SYNC)
  const [name] = await readdir(folder)
  const path = join(folder, name!)
  const { byteLength } = await readFile(path)
  await first.append([delivered(2)], { sync: false })
  await first.append([delivered(3)], { sync: false })
  const content = await readFile(path)
  await first.close()
  await writeFile(path, content.fill(0, byteLength + 10, byteLength + 60))
  const second = await open()
  expect(cursorsOf(second)).toEqual([1])
  await second.close()
})

test('segments whose events are forgotten go away, and the state is carried on', async () => {
  const journal = await open()
  for (let cursor = 1; cursor <= 40; cursor++) {
    await journal.append([delivered(cursor, 60_000)], SYNC)
    if (journal.full()) await journal.roll({ ...NO_EVENTS, floors: [[self, cursor]], cursor }, cursor - 5)
  }
  await journal.close()
  expect((await readdir(folder)).length).toBeLessThanOrEqual(2)
  const again = await open()
  expect(again.state).toMatchObject({ floors: [[self, 40]], cursor: 40 })
  expect(cursorsOf(again).at(-1)).toBe(40)
  expect(cursorsOf(again).length).toBeLessThan(40)
  await again.close()
})

/** Each written when all before it were on disk. */
const sealAll = (bodies: readonly Uint8Array[]): Buffer =>
  bodies.reduce<Buffer>((before, body) => Buffer.concat([before, sealBatch(body, before.byteLength)]), Buffer.alloc(0))

test('batches are read as they were written, and a bent one is never taken for whole', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (bodies, place, flip) => {
        const content = sealAll(bodies)
        expect(readBatches(content)).toMatchObject({ length: content.byteLength, damaged: false })
        expect(readBatches(content).bodies.map(body => [...body])).toEqual(bodies.map(body => [...body]))
        const at = place % content.byteLength
        const bent = Buffer.from(content)
        bent[at]! ^= flip
        const read = readBatches(bent)
        const ends = bodies.map((_, index) => sealAll(bodies.slice(0, index + 1)).byteLength)
        const hit = ends.findIndex(end => at < end)
        expect(read.bodies.length).toBe(hit)
        expect(read.damaged).toBe(hit < bodies.length - 1)
      },
    ),
  )
})
