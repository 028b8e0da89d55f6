import { existsSync, statSync } from 'node:fs'
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unseal } from '../../../daemon/drivers/slot-tree.ts'
import { createSlots, type Slots } from '../../../daemon/drivers/slots.ts'
import type { Millis } from '../../../protocol/index.ts'
import { image, type Lab, lab, never, textOf } from './support.ts'

const content =
  (name: string) =>
  async (directory: string): Promise<void> => {
    await mkdir(join(directory, 'bin'))
    await writeFile(join(directory, 'bin/run'), name, { mode: 0o755 })
    await writeFile(join(directory, 'data'), name, { mode: 0o640 })
    await symlink('/etc/hostname', join(directory, 'link'))
  }

describe('slots', () => {
  let place: Lab

  beforeEach(() => {
    place = lab()
  })
  afterEach(() => place.close())

  const open = async (keep = 1): Promise<Slots> => {
    const slots = createSlots(place.directory, keep)
    await slots.load()
    await slots.sweep()
    return slots
  }
  const path = (...parts: string[]): string => join(place.directory, 'slots', ...parts)
  const install = async (slots: Slots, name: string): Promise<void> => {
    await slots.fill(image(name), content(name), never)
    await slots.use(image(name))
  }
  const layout = (slots: Slots, ...names: string[]): string[] =>
    slots.list().map(({ name, digest, role }) => {
      const held = names.find(known => image(known) === digest)
      return [name, role, ...(held === undefined ? [] : [held])].join(' ')
    })

  it('hold what was unpacked, read-only to everybody, with its right to run', async () => {
    const slots = await open()
    const before = statSync('/etc/hostname').mode
    await slots.fill(image('v1'), content('v1'), never)
    const modes = ['', 'bin', 'bin/run', 'data'].map(name => (statSync(path('a', name)).mode & 0o7777).toString(8))
    expect(modes).toEqual(['555', '555', '555', '440'])
    expect(statSync('/etc/hostname').mode).toBe(before)
    expect(slots.current().digest).toBeUndefined()
    expect(layout(slots, 'v1')).toEqual(['a kept v1', 'b empty'])
  })

  it('use a slot that holds the image already, without unpacking it', async () => {
    const slots = await open()
    await slots.fill(image('v1'), content('v1'), never)
    await slots.fill(image('v1'), () => Promise.reject(new Error('unpacked again')), never)
    expect(slots.find(image('v1'))).toBe('a')
  })

  it('take a marked slot for none that holds its image: that is unpacked afresh, and the mark goes with the flip', async () => {
    const drift = { why: 'drift', reason: 'data (content)', by: '', at: 1 as Millis, due: 0 as Millis } as const
    const slots = await open()
    await install(slots, 'v1')
    await slots.mark(marks => [...marks, drift])
    const again = await open()
    expect(again.current()).toMatchObject({ slot: 'a', marks: [drift] })
    await again.fill(image('v1'), content('v1'), never)
    expect(again.find(image('v1'))).toBe('b')
    expect(again.current()).toMatchObject({ slot: 'a', marks: [drift] })
    await again.use(image('v1'))
    expect(again.current()).toMatchObject({ slot: 'b', marks: [], previous: image('v1') })
    expect(again.current().since).toBeGreaterThan(0)
  })

  it('go back to a marked slot where no other holds the image, and find the mark still there', async () => {
    const slots = await open()
    await install(slots, 'v1')
    await slots.mark(() => [{ why: 'manual', reason: 'x', by: '', at: 1 as Millis, due: 0 as Millis }])
    await install(slots, 'v2')
    expect(slots.current().marks).toEqual([])
    await slots.use(image('v1'))
    expect(slots.current()).toMatchObject({ slot: 'a', marks: [{ why: 'manual' }] })
  })

  it('fill an empty slot first, then the oldest that is neither current nor previous', async () => {
    const slots = await open(3)
    for (const name of ['v1', 'v2', 'v3', 'v4']) await install(slots, name)
    expect(layout(slots, 'v1', 'v2', 'v3', 'v4')).toEqual(['a kept v1', 'b kept v2', 'c previous v3', 'd current v4'])
    await slots.fill(image('v5'), content('v5'), never)
    expect(slots.find(image('v5'))).toBe('a')
    await slots.fill(image('v6'), content('v6'), never)
    expect(slots.find(image('v6'))).toBe('b')
    await slots.fill(image('v7'), content('v7'), never)
    expect(layout(slots, 'v3', 'v4', 'v6', 'v7')).toEqual(['a kept v7', 'b kept v6', 'c previous v3', 'd current v4'])
  })

  it('give up the previous one when there is no other', async () => {
    const slots = await open()
    await install(slots, 'v1')
    await install(slots, 'v2')
    await slots.fill(image('v3'), content('v3'), never)
    expect(layout(slots, 'v2', 'v3')).toEqual(['a kept v3', 'b current v2'])
    expect(slots.current().previous).toBeUndefined()
  })

  it('are the same after a restart', async () => {
    const slots = await open(2)
    for (const name of ['v1', 'v2', 'v3']) await install(slots, name)
    await slots.use(image('v2'))
    const again = await open(2)
    expect(again.list()).toEqual(slots.list())
    expect(again.current()).toEqual(slots.current())
    expect(again.current()).toMatchObject({ digest: image('v2'), slot: 'b', previous: image('v3') })
  })

  it.each([
    ['unpacking fails', () => Promise.reject(new Error('bad archive'))],
    ['it is cancelled when all is unpacked', undefined],
  ])('stay empty, on disk too, when %s', async (_, unpack) => {
    const slots = await open()
    await install(slots, 'v1')
    await install(slots, 'v2')
    const abort = new AbortController()
    const cancelled = async (directory: string): Promise<void> => {
      await content('v3')(directory)
      abort.abort()
    }
    await expect(slots.fill(image('v3'), unpack ?? cancelled, abort.signal)).rejects.toThrow()
    expect(layout(slots, 'v2')).toEqual(['a empty', 'b current v2'])
    expect(existsSync(path('a'))).toBe(false)
    expect(layout(await open(), 'v2')).toEqual(['a empty', 'b current v2'])
    await slots.fill(image('v3'), content('v3'), never)
    expect(slots.find(image('v3'))).toBe('a')
  })

  it('say on disk that a slot is empty before it is touched', async () => {
    const slots = await open()
    await install(slots, 'v1')
    await install(slots, 'v2')
    let seen = ''
    await slots.fill(
      image('v3'),
      async () => {
        seen = textOf(join(place.directory, 'slots.json'))
      },
      never,
    )
    expect(JSON.parse(seen)).toMatchObject({ current: 'b', previous: null })
    expect(Object.keys(JSON.parse(seen).slots)).toEqual(['b'])
  })

  it('lose nothing when one is made current while another is filled', async () => {
    const slots = await open(2)
    await install(slots, 'v1')
    await install(slots, 'v2')
    await slots.fill(
      image('v3'),
      async directory => {
        await content('v3')(directory)
        await slots.use(image('v1'))
      },
      never,
    )
    expect(layout(await open(2), 'v1', 'v2', 'v3')).toEqual(['a current v1', 'b previous v2', 'c kept v3'])
  })

  it('forget the one whose directory is gone, and say which', async () => {
    await install(await open(), 'v1')
    await unseal(path('a'))
    await rm(path('a'), { recursive: true })
    const slots = createSlots(place.directory, 1)
    expect(await slots.load()).toEqual(['a'])
    expect(slots.current().digest).toBeUndefined()
  })

  it('are given up at a restart that allows fewer, save for the current and the previous', async () => {
    const slots = await open(4)
    for (const name of ['v1', 'v2', 'v3', 'v4', 'v5']) await install(slots, name)
    const fewer = await open(1)
    expect(layout(fewer, 'v1', 'v2', 'v3', 'v4', 'v5')).toEqual([
      'a kept v1',
      'b kept v2',
      'd previous v4',
      'e current v5',
    ])
    expect(existsSync(path('c'))).toBe(false)
  })

  it('are swept clean of what a crash left behind', async () => {
    const slots = await open()
    await install(slots, 'v1')
    await mkdir(path('b/half'), { recursive: true })
    await writeFile(path('b/half/file'), 'x')
    await chmod(path('b/half'), 0o500)
    await open()
    expect(existsSync(path('b'))).toBe(false)
    expect(await readFile(path('a/data'), 'utf8')).toBe('v1')
  })

  it.each([
    ['is no JSON', 'slots?'],
    ['names a slot that is not there', '{"slots":{},"current":"a","previous":null}'],
    ['leads out of its directory', '{"slots":{"../x":{"image":"","order":1}},"current":null,"previous":null}'],
    ['holds no digest', '{"slots":{"a":{"image":"xyz","order":1}},"current":null,"previous":null}'],
  ])('are not made up from a state that %s', async (_, text) => {
    await writeFile(join(place.directory, 'slots.json'), text)
    await expect(createSlots(place.directory, 1).load()).rejects.toMatchObject({ code: 'corrupt' })
  })

  it('refuse to make an image current that none holds', async () => {
    await expect((await open()).use(image('v9'))).rejects.toMatchObject({ code: 'not-found' })
  })
})
