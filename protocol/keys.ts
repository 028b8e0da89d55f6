import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from 'node:crypto'
import type { Digest, PublicKey } from './ids.ts'

/** An Ed25519 key pair (RFC 8032). `seed` is the 32-byte private seed: never logged, never sent. */
export interface KeyPair {
  readonly publicKey: PublicKey
  readonly seed: Uint8Array
  /** The 64-byte signature over exactly these bytes. */
  sign(bytes: Uint8Array): Uint8Array
}

// RFC 8410 DER wrappers of a raw Ed25519 seed (PKCS #8) and public key (SPKI).
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

export function generateKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('ed25519')
  return keyPairFromSeed(privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(PKCS8_PREFIX.length))
}

/** `seed` is 32 bytes. */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
  if (seed.byteLength !== 32) throw new RangeError(`an Ed25519 seed has 32 bytes, got ${seed.byteLength}`)
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return {
    publicKey: spki.subarray(SPKI_PREFIX.length).toString('hex') as PublicKey,
    seed: Uint8Array.from(seed),
    sign: bytes => Uint8Array.from(signWith(null, bytes, privateKey)),
  }
}

/** True when `signature` is by `key` over exactly `bytes`. Never throws. */
export function verifySignature(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.byteLength !== 64) return false
  try {
    return verifyWith(null, bytes, keyObject(key), signature)
  } catch {
    return false
  }
}

export function sha256(...parts: readonly Uint8Array[]): Digest {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex') as Digest
}

const keyObjects = new Map<PublicKey, KeyObject>()

function keyObject(key: PublicKey): KeyObject {
  let object = keyObjects.get(key)
  if (object === undefined) {
    object = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, Buffer.from(key, 'hex')]),
      format: 'der',
      type: 'spki',
    })
    if (keyObjects.size > 20_000) keyObjects.clear() // strangers may name any number of keys
    keyObjects.set(key, object)
  }
  return object
}
