import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { writeDurably } from '../../../daemon/state/durable.ts'
import { openFiles } from '../../../daemon/state/files.ts'

/** The step of a write that the disk refuses, and with what. What was done before is noted in `steps`. */
const disk = vi.hoisted(() => ({
  fails: undefined as { step: string; code: string } | undefined,
  steps: [] as string[],
}))

vi.mock('node:fs/promises', async original => {
  const real = await original<typeof import('node:fs/promises')>()
  const attempt = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    if (disk.fails?.step === step)
      throw Object.assign(new Error(`${disk.fails.code}: refused, ${step}`), { code: disk.fails.code })
    const result = await work()
    disk.steps.push(step)
    return result
  }
  return {
    ...real,
    open: async (path: string, flags: string, mode?: number): Promise<FileHandle> => {
      const file = await attempt(flags === 'r' ? 'open folder' : 'open', () => real.open(path, flags, mode))
      const sync = file.sync.bind(file)
      const writeFile = file.writeFile.bind(file)
      file.sync = () => attempt(flags === 'r' ? 'sync folder' : 'sync', sync)
      file.writeFile = (async (content: Uint8Array) => {
        // A disk fills up in the middle of a write.
        if (disk.fails?.step === 'write') await writeFile(content.slice(0, 3))
        await attempt('write', () => writeFile(content))
      }) as FileHandle['writeFile']
      return file
    },
    rename: (from: string, to: string) => attempt('rename', () => real.rename(from, to)),
  }
})

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-durable-'))
})
afterEach(() => {
  disk.fails = undefined
  rmSync(dir, { recursive: true, force: true })
})

describe('a durable write', () => {
  it('is on disk before it has the name, and the name before it is acknowledged', async () => {
    disk.steps = []
    await writeDurably(join(dir, 'a'), 'content')
    expect(disk.steps).toEqual(['open', 'write', 'sync', 'rename', 'open folder', 'sync folder'])
  })

  it.each([
    ['open', 'ENOSPC', 'no-space'],
    ['write', 'ENOSPC', 'no-space'],
    ['write', 'EDQUOT', 'no-space'],
    ['sync', 'ENOSPC', 'no-space'],
    ['sync', 'EIO', 'unavailable'],
    ['rename', 'ENOSPC', 'no-space'],
    ['open', 'EROFS', 'unavailable'],
  ])('keeps the old content when %s fails with %s, and says %s', async (step, code, expected) => {
    const path = join(dir, 'a')
    await writeDurably(path, 'old content')
    disk.fails = { step, code }
    await expect(writeDurably(path, 'new content')).rejects.toMatchObject({
      name: 'FleetError',
      code: expected,
      message: expect.stringContaining(path),
    })
    disk.fails = undefined
    expect(readFileSync(path, 'utf8')).toBe('old content')
    expect(readdirSync(dir)).toEqual(['a'])
    await writeDurably(path, 'new content')
    expect(readFileSync(path, 'utf8')).toBe('new content')
  })

  it('is not acknowledged when its name may not be on disk', async () => {
    disk.fails = { step: 'sync folder', code: 'EIO' }
    await expect(writeDurably(join(dir, 'a'), 'x')).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('does not keep later writes of the name from being done', async () => {
    const files = await openFiles(dir, [])
    await files.writeDurably('a', Uint8Array.of(1))
    disk.fails = { step: 'write', code: 'ENOSPC' }
    const refused = files.writeDurably('a', Uint8Array.of(2))
    await expect(refused).rejects.toMatchObject({ code: 'no-space' })
    expect(await files.readFile('a')).toEqual(Uint8Array.of(1))
    disk.fails = undefined
    await files.writeDurably('a', Uint8Array.of(3))
    expect(await files.readFile('a')).toEqual(Uint8Array.of(3))
    await files.close()
  })
})
