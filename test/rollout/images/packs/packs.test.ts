import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Digest, type Random, seededRandom, sha256 } from '../../../../protocol/index.ts'
import { HEAD } from '../../../../rollout/images/packs/format.ts'
import { openPacks, type Packs } from '../../../../rollout/images/packs/packs.ts'
import { createPlaces, type Places } from '../../../../rollout/images/packs/places.ts'
import { type VerifiedChunk, verifyChunk } from '../../../../rollout/index.ts'
import { noise } from '../support.ts'
import { type LossyDisk, lossyDisk } from './lossy-disk.ts'

const PACK = 4_000
const CHUNKS: readonly VerifiedChunk[] = Array.from({ length: 12 }, (_, at) => {
  const bytes = noise(200 + at * 97, at + 1)
  return verifyChunk(sha256(bytes), bytes)!
})
const digestOf = (at: number): Digest => CHUNKS[at]!.digest

/** What reading a chunk gives. */
async function given(packs: Packs, at: number): Promise<'right' | 'wrong' | undefined> {
  const bytes = await packs.read(digestOf(at))
  if (bytes === undefined) return undefined
  return bytes !== 'damaged' && bytes.equals(CHUNKS[at]!.bytes) ? 'right' : 'wrong'
}

interface Opened {
  readonly disk: LossyDisk
  readonly packs: Packs
  readonly places: Places
  readonly damaged: Digest[]
}
async function openOn(disk: LossyDisk): Promise<Opened> {
  const places = createPlaces()
  const damaged: Digest[] = []
  const onDamaged = (chunk: Digest) => void damaged.push(chunk)
  return { disk, places, damaged, packs: await openPacks({ disk, places, onDamaged, packSize: PACK }) }
}

type Step =
  | { readonly type: 'put'; readonly chunks: readonly number[] }
  | { readonly type: 'remove'; readonly chunks: readonly number[] }
  | { readonly type: 'reclaim' }
  | { readonly type: 'look' }
  /** The call that comes after so many others fails. */
  | { readonly type: 'fail'; readonly after: number; readonly code: 'ENOSPC' | 'EIO' }
  | { readonly type: 'crash'; readonly after: number; readonly of: 'process' | 'host' }

const some = fc.uniqueArray(fc.nat(CHUNKS.length - 1), { minLength: 1, maxLength: 5 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant('put' as const), chunks: some }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('remove' as const), chunks: some }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('reclaim' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('look' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('fail' as const),
        after: fc.nat(4),
        code: fc.constantFrom('ENOSPC' as const, 'EIO' as const),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('crash' as const),
        after: fc.nat(9),
        of: fc.constantFrom('process' as const, 'host' as const),
      }),
    },
  ),
  { minLength: 2, maxLength: 30 },
)

/** Does what a daemon might do, with crashes anywhere in it, and throws when something that was acknowledged is lost, or something wrong is given. */
async function live(script: readonly Step[], random: Random, first: LossyDisk): Promise<void> {
  /** `here`: acknowledged. `unknown`: it was being put or removed when the end came. */
  const model = new Map<number, 'here' | 'gone' | 'unknown'>()
  let opened = await openOn(first)

  const look = async (): Promise<void> => {
    for (const at of CHUNKS.keys()) {
      const expected = model.get(at) ?? 'gone'
      const found = await given(opened.packs, at)
      if (expected === 'here' && found === undefined) throw new Error(`chunk ${at}, which was acknowledged, is lost`)
      if (expected === 'gone' && found !== undefined) throw new Error(`chunk ${at} was never put, or removed`)
      if (found === 'wrong') throw new Error(`chunk ${at} is not what it was`)
    }
    const lengths = [...opened.places.all.values()].map(({ length }) => length)
    expect(opened.places.bytes()).toBe(lengths.reduce((sum, length) => sum + length, 0))
    const onDisk = [...opened.disk.files().values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
    const used = opened.places.bytes() + lengths.length * HEAD + opened.packs.waste()
    expect(opened.packs.waste()).toBeGreaterThanOrEqual(0)
    expect(onDisk, 'what is said to be used is about what the disk holds').toBeGreaterThanOrEqual(used)
  }
  const perform = async (step: Step): Promise<void> => {
    switch (step.type) {
      case 'put':
        await Promise.all(
          step.chunks.map(async at => {
            if (model.get(at) !== 'here') model.set(at, 'unknown')
            await opened.packs.put(CHUNKS[at]!).then(
              () => model.set(at, 'here'),
              () => opened.places.get(digestOf(at)) === undefined && model.set(at, 'gone'),
            )
          }),
        )
        return
      case 'remove':
        for (const at of step.chunks) model.set(at, 'unknown')
        await opened.packs.remove(step.chunks.map(digestOf), Promise.resolve())
        for (const at of step.chunks) model.set(at, 'gone')
        return
      case 'reclaim':
        return opened.packs.reclaim()
      case 'look':
        return look()
      default:
    }
  }
  /** After a crash what was removed may be back: nobody was promised that it would not. */
  const reopen = async (of: 'process' | 'host'): Promise<void> => {
    opened = await openOn(opened.disk.crash(of, random))
    for (const at of CHUNKS.keys()) if (model.get(at) !== 'here') model.set(at, 'unknown')
    await look()
    for (const at of CHUNKS.keys()) model.set(at, opened.places.get(digestOf(at)) === undefined ? 'gone' : 'here')
  }

  let halted: Promise<void> = new Promise(() => undefined)
  let crash: Extract<Step, { type: 'crash' }> | undefined
  for (const step of script) {
    if (step.type === 'fail') {
      let left = step.after
      opened.disk.onCall = () => (left-- === 0 ? Object.assign(new Error(step.code), { code: step.code }) : undefined)
    } else if (step.type === 'crash') {
      let left = step.after
      crash = step
      halted = new Promise(resolve => {
        opened.disk.onCall = () => {
          if (left-- > 0) return undefined
          resolve()
          return 'halt'
        }
      })
    } else {
      const done = await Promise.race([perform(step).then(() => true), halted.then(() => false)])
      if (!done) {
        await reopen(crash!.of)
        halted = new Promise(() => undefined)
        crash = undefined
      }
    }
  }
  opened.disk.onCall = () => undefined
  await look()
  await reopen('host')
}

test('whatever fails and wherever the process or the host ends, what was acknowledged is there and right, and nothing else is said to be', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer(), (script, seed) => live(script, seededRandom(seed), lossyDisk())),
    { numRuns: 600 },
  )
})

test('the same examination finds a store that does not sync', async () => {
  const found = await fc.check(
    fc.asyncProperty(steps, fc.integer(), (script, seed) =>
      live(script, seededRandom(seed), lossyDisk({ syncs: false })),
    ),
    { numRuns: 400, endOnFailure: true },
  )
  expect(found.failed).toBe(true)
  expect(String(found.errorInstance)).toContain('which was acknowledged, is lost')
})

const all = (packs: Packs, chunks: readonly VerifiedChunk[] = CHUNKS) => Promise.all(chunks.map(packs.put))
const bytesOn = (disk: LossyDisk): number =>
  [...disk.files().values()].reduce((sum, { byteLength }) => sum + byteLength, 0)

test('what is removed frees the disk, also while chunks are read and put', async () => {
  const { disk, packs, places } = await openOn(lossyDisk())
  await all(packs)
  const full = bytesOn(disk)
  const going = CHUNKS.filter((_, at) => at % 3 !== 0).map(({ digest }) => digest)
  const reading = CHUNKS.filter((_, at) => at % 3 === 0).map(async ({ digest, bytes }) => {
    for (let round = 0; round < 20; round++) expect(await packs.read(digest)).toEqual(bytes)
  })
  const again = packs.put(CHUNKS[1]!).then(() => packs.read(digestOf(1)))
  await Promise.all([packs.remove(going, Promise.resolve()), ...reading])
  await again
  await packs.reclaim()
  expect(packs.waste()).toBeLessThan(full / 32)
  expect(bytesOn(disk)).toBeLessThan(places.bytes() + full / 8)
  expect(bytesOn(disk)).toBeLessThan(full / 2)
})

test('a chunk leaves the disk only once what is to go before it has gone', async () => {
  const { disk, packs } = await openOn(lossyDisk())
  await all(packs)
  let gone!: () => void
  const after = new Promise<void>(resolve => {
    gone = resolve
  })
  const removing = packs.remove(
    CHUNKS.map(({ digest }) => digest),
    after,
  )
  expect(packs.has(digestOf(0))).toBe(false)
  await packs.reclaim()
  const before = await openOn(disk.crash('process', seededRandom(1)))
  for (const { digest, bytes } of CHUNKS) expect(await before.packs.read(digest)).toEqual(bytes)
  gone()
  await Promise.race([removing, Promise.resolve()])
})

test('a rotten head of the newest pack costs its own chunk and none behind it, and a record inside of a chunk is not taken for one', async () => {
  const forged = noise(300, 77)
  const { disk, packs } = await openOn(lossyDisk())
  await packs.put(CHUNKS[0]!)
  const pack = [...disk.files().values()][0]!
  // A chunk whose content is a record: the same head, and other bytes behind it.
  const inside = Buffer.concat([pack.subarray(0, HEAD), forged])
  const carrier = verifyChunk(sha256(inside), inside)!
  await packs.put(carrier)
  await packs.put(CHUNKS[2]!)
  for (const bytes of disk.files().values()) {
    bytes[10]! ^= 1
    bytes[bytes.indexOf(inside) - 20]! ^= 1
  }
  const { packs: again } = await openOn(disk.crash('process', seededRandom(1)))
  expect(again.has(digestOf(0))).toBe(false)
  expect(again.has(carrier.digest)).toBe(false)
  expect(await again.read(digestOf(2))).toEqual(CHUNKS[2]!.bytes)
})

test('a table that does not match is not believed: the pack is walked', async () => {
  const { disk, packs } = await openOn(lossyDisk())
  await all(packs)
  const extra = noise(100, 99)
  await packs.put(verifyChunk(sha256(extra), extra)!)
  const sealed = [...disk.files().values()].filter(bytes => bytes.includes('FLCTABLE'))
  expect(sealed.length).toBeGreaterThan(0)
  for (const bytes of sealed) bytes[bytes.byteLength - 30]! ^= 1
  const { packs: again } = await openOn(disk.crash('process', seededRandom(1)))
  for (const { digest, bytes } of CHUNKS) expect(await again.read(digest)).toEqual(bytes)
})

test('what rots is dropped when it is read, or when its pack is written anew, and gone from the disk then', async () => {
  const { disk, packs, damaged } = await openOn(lossyDisk())
  await all(packs, CHUNKS.slice(0, 6))
  for (const bytes of disk.files().values())
    for (const at of [1, 3]) {
      const start = bytes.indexOf(CHUNKS[at]!.bytes)
      if (start !== -1) bytes[start + 5]! ^= 1
    }
  expect(await packs.read(digestOf(1))).toBe('damaged')
  packs.drop(digestOf(1))
  await packs.reclaim()
  expect(damaged).toEqual([digestOf(3)])
  expect([1, 3].some(at => packs.has(digestOf(at)))).toBe(false)
  await packs.close()
  const again = await openOn(disk.crash('host', seededRandom(3)))
  expect([...again.places.all.keys()].sort()).toEqual([0, 2, 4, 5].map(digestOf).sort())
})
