import { closeSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createProgramLog, LOG_LIMIT } from '../../../daemon/drivers/program-log.ts'
import { type Lab, lab, quiet, textOf } from './support.ts'

describe("a program's log", () => {
  let place: Lab
  let path: string

  beforeEach(() => {
    place = lab()
    path = join(place.directory, 'app.log')
  })
  afterEach(() => place.close())

  it('goes on where it was while it is small', async () => {
    const log = createProgramLog(path, quiet)
    for (const line of ['one\n', 'two\n']) {
      const descriptor = await log.open()
      writeSync(descriptor, line)
      closeSync(descriptor)
      await log.cut()
    }
    expect(textOf(path)).toBe('one\ntwo\n')
  })

  it('is cut at its limit while the program writes on to the same file', async () => {
    const log = createProgramLog(path, quiet)
    const descriptor = await log.open()
    truncateSync(path, LOG_LIMIT)
    writeSync(descriptor, 'the last line before\n')
    await log.cut()
    expect(statSync(path).size).toBe(0)
    expect(statSync(`${path}.1`).size).toBe(LOG_LIMIT + 21)
    writeSync(descriptor, 'the first line after\n')
    closeSync(descriptor)
    expect(textOf(path)).toBe('the first line after\n')
  })

  it('moves aside at a start when it is over its limit', async () => {
    const log = createProgramLog(path, quiet)
    closeSync(await log.open())
    truncateSync(path, LOG_LIMIT + 1)
    closeSync(await log.open())
    expect(statSync(path).size).toBe(0)
    expect(statSync(`${path}.1`).size).toBe(LOG_LIMIT + 1)
  })
})
