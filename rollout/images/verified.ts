import { type Digest, sha256 } from '../../protocol/index.ts'

declare const verified: unique symbol
/** Bytes that match their digest. Only `verifyChunk` makes one, so an unverified chunk cannot be stored or passed on. */
export interface VerifiedChunk {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly [verified]: true
}

/** Undefined when the bytes are not those that the digest names. */
export function verifyChunk(expected: Digest, bytes: Uint8Array): VerifiedChunk | undefined {
  return sha256(bytes) === expected ? ({ digest: expected, bytes } as VerifiedChunk) : undefined
}
