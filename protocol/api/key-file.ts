import { createCipheriv, createDecipheriv, createPrivateKey, randomBytes, scryptSync } from 'node:crypto'
import * as z from 'zod'
import { FleetError } from '../errors.ts'
import type { PublicKey } from '../ids.ts'
import { type KeyPair, keyPairFromSeed } from '../keys.ts'
import { publicKey } from '../statements/fields.ts'

/** scrypt (RFC 7914) with the first of OWASP's recommended parameters: 128 MiB and about half a second for each guess. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const
/** Bounds what a file that somebody else wrote can make us spend. */
const MAX_MEMORY = 512 * 1024 * 1024

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)
const sealedSchema = z.object({
  scrypt: z.object({
    N: z.number().int().min(2),
    r: z.number().int().min(1).max(64),
    p: z.number().int().min(1).max(16),
    salt: base64url,
  }),
  nonce: base64url,
  /** AES-256-GCM of the seed, followed by its tag. */
  ciphertext: base64url,
})
const keyFileSchema = z.union([
  z.object({ fleetKey: z.literal(1), publicKey, seed: base64url }),
  z.object({ fleetKey: z.literal(1), publicKey, sealed: sealedSchema }),
])
type KeyFile = z.infer<typeof keyFileSchema>

/** The text of an operator's or publisher's key file; the seed is encrypted where a passphrase is given. Takes about half a second then. */
export function formatKeyFile(key: KeyPair, passphrase?: string): string {
  const file: KeyFile =
    passphrase === undefined
      ? { fleetKey: 1, publicKey: key.publicKey, seed: text(key.seed) }
      : { fleetKey: 1, publicKey: key.publicKey, sealed: seal(key, passphrase) }
  return JSON.stringify(file, null, 2) + '\n'
}

/** What can be read off a key file without its passphrase. Throws `corrupt`. */
export function describeKeyFile(content: string): { publicKey: PublicKey; encrypted: boolean } {
  if (isPem(content)) return { publicKey: fromPem(content).publicKey, encrypted: false }
  const file = parse(content)
  return { publicKey: file.publicKey, encrypted: 'sealed' in file }
}

/**
 * The key in a key file: one of ours, or PKCS #8 PEM as `openssl genpkey -algorithm ed25519` writes it. Throws `corrupt`,
 * and `unauthorized` when the passphrase is missing or wrong.
 */
export function parseKeyFile(content: string, passphrase?: string): KeyPair {
  if (isPem(content)) return fromPem(content)
  const file = parse(content)
  const seed = 'seed' in file ? bytes(file.seed) : unseal(file, passphrase)
  if (seed.byteLength !== 32) throw new FleetError('corrupt', 'the key file is damaged: a seed has 32 bytes')
  const key = keyPairFromSeed(seed)
  if (key.publicKey !== file.publicKey)
    throw new FleetError('corrupt', 'the key file is damaged: its two halves do not belong together')
  return key
}

function seal(key: KeyPair, passphrase: string): z.infer<typeof sealedSchema> {
  const salt = randomBytes(16)
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', derive(passphrase, { ...SCRYPT, salt: text(salt) }), nonce)
  cipher.setAAD(Buffer.from(key.publicKey, 'hex'))
  const ciphertext = Buffer.concat([cipher.update(key.seed), cipher.final(), cipher.getAuthTag()])
  return { scrypt: { ...SCRYPT, salt: text(salt) }, nonce: text(nonce), ciphertext: text(ciphertext) }
}

function unseal(file: Extract<KeyFile, { sealed: unknown }>, passphrase: string | undefined): Uint8Array {
  if (passphrase === undefined) throw new FleetError('unauthorized', 'the key is encrypted and no passphrase was given')
  const { scrypt, nonce, ciphertext } = file.sealed
  const sealed = bytes(ciphertext)
  if (bytes(nonce).byteLength !== 12 || sealed.byteLength !== 32 + 16)
    throw new FleetError('corrupt', 'the key file is damaged: its encrypted part has the wrong length')
  const decipher = createDecipheriv('aes-256-gcm', derive(passphrase, scrypt), bytes(nonce))
  decipher.setAAD(Buffer.from(file.publicKey, 'hex'))
  decipher.setAuthTag(sealed.subarray(32))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, 32)), decipher.final()])
  } catch (cause) {
    throw new FleetError('unauthorized', 'the passphrase is wrong', { cause })
  }
}

function derive(passphrase: string, { N, r, p, salt }: z.infer<typeof sealedSchema>['scrypt']): Buffer {
  try {
    return scryptSync(passphrase.normalize('NFKC'), bytes(salt), 32, { N, r, p, maxmem: MAX_MEMORY })
  } catch (cause) {
    throw new FleetError(
      'corrupt',
      `the key file asks for scrypt parameters that are not supported: N=${N} r=${r} p=${p}`,
      {
        cause,
      },
    )
  }
}

function parse(content: string): KeyFile {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    value = undefined
  }
  const file = keyFileSchema.safeParse(value)
  if (!file.success) throw new FleetError('corrupt', 'not a key file: make one with "fleetctl key new"')
  return file.data
}

const isPem = (content: string): boolean => content.includes('-----BEGIN ')

function fromPem(content: string): KeyPair {
  try {
    const key = createPrivateKey(content)
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`an ${key.asymmetricKeyType} key`)
    return keyPairFromSeed(key.export({ type: 'pkcs8', format: 'der' }).subarray(-32))
  } catch (cause) {
    throw new FleetError(
      'corrupt',
      'not an unencrypted Ed25519 private key in PEM; make a key with "fleetctl key new"',
      {
        cause,
      },
    )
  }
}

const text = (value: Uint8Array): string => Buffer.from(value).toString('base64url')
const bytes = (value: string): Uint8Array => Buffer.from(value, 'base64url')
