import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTokenFile } from '../../daemon/token-file.ts'
import { bearerIn, tokenIn } from '../../protocol/index.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-token-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const file = (content: string, mode = 0o600): string => {
  const path = join(dir, 'token')
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}
const read = async (path: string): Promise<string> => tokenIn(await readTokenFile(path, 'tests'), 'tests')

test('a token is what the file holds, without the line end', async () => {
  expect(await read(file('correct horse\n'))).toBe('correct horse')
})

test('a file that others can read, one with no token and one that is not there are refused', async () => {
  await expect(read(file('secret', 0o640))).rejects.toThrow('can be read by others (mode 640); run: chmod 600')
  await expect(read(file(' \n'))).rejects.toThrow('should hold a token')
  await expect(read(file('x'.repeat(513)))).rejects.toThrow('should hold a token')
  await expect(read(file('x'.repeat(1_025)))).rejects.toThrow('should hold a token')
  await expect(read(join(dir, 'none'))).rejects.toThrow('cannot read the token for tests')
  await expect(read(dir)).rejects.toThrow()
})

test('a token that guards a door to other hosts is long, and fit for a header', async () => {
  const bearer = async (content: string): Promise<string> =>
    bearerIn(await readTokenFile(file(content), 'tests'), 'tests')
  expect(await bearer(`${'ab12'.repeat(8)}\n`)).toBe('ab12'.repeat(8))
  for (const weak of ['short', 'correct horse battery staple', 'ä'.repeat(20), `${'a'.repeat(20)}\nb`])
    await expect(bearer(weak)).rejects.toThrow(/16 to 512 letters.*openssl rand -hex 32/)
})
