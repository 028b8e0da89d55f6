import { decode, encode } from './codec.ts'
import { FleetError } from './errors.ts'
import type { Digest } from './ids.ts'
import { sha256 } from './keys.ts'
import { LIMITS } from './limits.ts'
import { idOf } from './statement.ts'

/** What the fleet keeps for ever and passes on to whoever lacks it: an operator's signed word, with its kind in front. */
export type DocumentKind = 'plan' | 'policy' | 'revocation' | 'recovery'

const KINDS: readonly unknown[] = ['plan', 'policy', 'revocation', 'recovery'] satisfies DocumentKind[]
const isKind = (given: unknown): given is DocumentKind => KINDS.includes(given)

export const encodeDocument = (kind: DocumentKind, statement: Uint8Array): Uint8Array => encode([kind, statement])

/** Throws `corrupt` or `too-large`. */
export function decodeDocument(bytes: Uint8Array): { kind: DocumentKind; statement: Uint8Array } {
  const raw = decode(bytes, LIMITS.plan + 1024)
  if (Array.isArray(raw) && raw.length === 2 && isKind(raw[0]) && raw[1] instanceof Uint8Array)
    return { kind: raw[0], statement: raw[1] }
  throw new FleetError('corrupt', 'not a document of the fleet')
}

/**
 * What a document is known by: what was signed in it. Not all its bytes, because anybody can add a signature of his own to an
 * operator's word, or write its lengths in another way, and so make any number of documents of one, all of them good, until
 * nobody has room for another. Of bytes that are no document, their digest. Never throws.
 */
export function documentId(bytes: Uint8Array): Digest {
  try {
    return idOf(decodeDocument(bytes).statement)
  } catch {
    return sha256(bytes)
  }
}
