import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readToken } from '../../../daemon/serf-rpc/index.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-serf-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const file = (content: string, mode = 0o600): string => {
  const path = join(dir, 'token')
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

test('a token is what the file holds, without the line end', async () => {
  expect(await readToken(file('correct horse\n'))).toBe('correct horse')
})

test('a file that others can read, one with no token and one that is not there are refused', async () => {
  await expect(readToken(file('secret', 0o640))).rejects.toThrow('can be read by others (mode 640); run: chmod 600')
  await expect(readToken(file(' \n'))).rejects.toThrow('should hold a token')
  await expect(readToken(file('x'.repeat(513)))).rejects.toThrow('should hold a token')
  await expect(readToken(join(dir, 'none'))).rejects.toThrow('cannot read the token')
})
