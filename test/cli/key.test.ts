import { execFileSync } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeKeyFile, formatKeyFile, keyPairFromSeed, parseKeyFile } from '../../protocol/index.ts'
import { type Bench, bench } from './support.ts'

let ctl: Bench
beforeAll(async () => {
  ctl = await bench()
  await ctl.claimed()
})
afterAll(() => ctl.close())

const PASS = { FLEETCTL_PASSPHRASE: 'correct horse' }

test('a key that is made with a passphrase is encrypted, and signs only with that passphrase', async () => {
  const file = join(ctl.dir, 'sealed.key')
  const made = await ctl.run(['--format', 'json', 'key', 'new', '--key', file], { env: PASS })
  expect(JSON.parse(made.stdout)).toMatchObject({ encrypted: true, file })
  const seed = parseKeyFile(await readFile(file, 'utf8'), PASS.FLEETCTL_PASSPHRASE).seed
  const text = await readFile(file, 'utf8')
  expect(text).not.toContain(Buffer.from(seed).toString('base64url'))
  expect(text).not.toContain(Buffer.from(seed).toString('hex'))

  const sign = (env: NodeJS.ProcessEnv) => ctl.run(['invite', '--key', file], { env })
  expect(await sign({})).toMatchObject({ code: 5, stderr: expect.stringContaining('set FLEETCTL_PASSPHRASE') })
  expect(await sign({ FLEETCTL_PASSPHRASE: 'wrong' })).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('the passphrase is wrong'),
  })
  // The right passphrase opens it; that this key is no operator is the next hurdle.
  expect((await sign(PASS)).stderr).toContain('is no operator')
  expect((await ctl.run(['key', 'show', '--key', file])).stdout.trim()).toBe(JSON.parse(made.stdout).publicKey)
})

test('key new never writes over a key', async () => {
  const before = await readFile(ctl.keyFile)
  expect(await ctl.run(['key', 'new'])).toMatchObject({ code: 6, stderr: expect.stringContaining('exists already') })
  expect(await readFile(ctl.keyFile)).toEqual(before)
})

test('a key that others can read is refused until its mode is mended', async () => {
  await chmod(ctl.keyFile, 0o644)
  expect(await ctl.run(['invite'])).toMatchObject({
    code: 5,
    stderr: `fleetctl: invite: others can read the key ${ctl.keyFile} (mode 0644); run: chmod 600 ${ctl.keyFile}\n`,
  })
  await chmod(ctl.keyFile, 0o600)
  expect((await ctl.run(['invite'])).code).toBe(0)
})

test('a key that is missing or no key is named', async () => {
  expect(await ctl.run(['invite', '--key', '/nonexistent'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no key at /nonexistent'),
  })
  const file = join(ctl.dir, 'junk.key')
  await writeFile(file, 'junk', { mode: 0o600 })
  expect((await ctl.run(['invite', '--key', file])).stderr).toContain('not a key file')
})

test('a PEM key of openssl is read as it is', async () => {
  const pem = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519']).toString()
  const der = execFileSync('openssl', ['pkey', '-pubout', '-outform', 'DER'], { input: pem })
  expect(parseKeyFile(pem).publicKey).toBe(der.subarray(-32).toString('hex'))
  expect(() => parseKeyFile('-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n')).toThrow(
    /not an unencrypted Ed25519/,
  )
})

test('what was written is read back, and any other seed is another key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), seed => {
      const key = keyPairFromSeed(seed)
      const text = formatKeyFile(key)
      expect(parseKeyFile(text).seed).toEqual(key.seed)
      expect(describeKeyFile(text)).toEqual({ publicKey: key.publicKey, encrypted: false })
    }),
    { numRuns: 30 },
  )
})

test('an encrypted key that was changed anywhere does not open', () => {
  const text = formatKeyFile(keyPairFromSeed(new Uint8Array(32).fill(7)), 'p')
  const file = JSON.parse(text) as {
    publicKey: string
    sealed: { nonce: string; ciphertext: string; scrypt: Record<string, unknown> }
  }
  const flip = (value: string): string => (value.startsWith('A') ? 'B' : 'A') + value.slice(1)
  const other = keyPairFromSeed(new Uint8Array(32).fill(8)).publicKey
  for (const changed of [
    { ...file, publicKey: other },
    { ...file, sealed: { ...file.sealed, nonce: flip(file.sealed.nonce) } },
    { ...file, sealed: { ...file.sealed, ciphertext: flip(file.sealed.ciphertext) } },
    { ...file, sealed: { ...file.sealed, scrypt: { ...file.sealed.scrypt, N: 2 ** 30 } } },
  ])
    expect(() => parseKeyFile(JSON.stringify(changed), 'p')).toThrow()
  expect(parseKeyFile(text, 'p').seed).toEqual(new Uint8Array(32).fill(7))
})
