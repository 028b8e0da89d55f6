import * as z from 'zod'
import { decode, encode } from './codec.ts'
import { FleetError } from './errors.ts'
import type { Digest, FleetId, Millis, NodeId, PublicKey } from './ids.ts'
import { nodeIdOf } from './ids.ts'
import { type KeyPair, sha256, verifySignature } from './keys.ts'
import { LIMITS } from './limits.ts'
import { check, objectionText } from './schema.ts'

/**
 * One kind of thing that may be said and signed. The domain tag keeps a signature over one kind from counting
 * as a signature over another.
 */
export interface StatementKind<T> {
  readonly domain: string
  readonly schema: z.ZodType<T>
  /** Largest envelope that is looked at, in bytes. */
  readonly maxBytes: number
}

/**
 * A signed statement. `bytes` is the envelope exactly as signed: it is what is stored and passed on, and
 * nothing is ever encoded again in order to verify it. One can only be made by `sign` or, with all its
 * signatures checked, by `open`.
 */
export interface Statement<T> {
  readonly bytes: Uint8Array
  /** SHA-256 of the signed body; the same however many sign it. */
  readonly id: Digest
  readonly domain: string
  /** Empty for policy 1 alone, whose id is what names the fleet. */
  readonly fleet: FleetId | ''
  /** The signer's wall clock when it signed. */
  readonly clock: Millis
  readonly signers: readonly PublicKey[]
  readonly body: T
}

const MAX_SIGNATURES = 16

const bytesOf = (length?: number) =>
  z.custom<Uint8Array>(
    value => value instanceof Uint8Array && (length === undefined || value.byteLength === length),
    'expected bytes',
  )
const envelopeSchema = z.tuple([
  bytesOf(),
  z
    .array(z.tuple([bytesOf(32), bytesOf(64)]))
    .min(1)
    .max(MAX_SIGNATURES),
])
const headSchema = z.tuple([
  z.string().max(64),
  z.string().regex(/^([0-9a-f]{64})?$/),
  z.number().int().nonnegative(),
  z.unknown(),
])

/** Signs `body` as a statement of `kind` with each of `keys`. Throws `too-large` past the kind's limit. */
export function sign<T>(
  kind: StatementKind<T>,
  fleet: FleetId | '',
  clock: Millis,
  body: T,
  keys: readonly KeyPair[],
): Statement<T> {
  const signed = encode([kind.domain, fleet, clock, body])
  return seal(
    kind,
    signed,
    { fleet, clock, body },
    keys.map(key => [key.publicKey, key.sign(signed)] as const),
  )
}

/** The same statement with one more signature, for what needs a threshold of signers. */
export function cosign<T>(kind: StatementKind<T>, statement: Statement<T>, key: KeyPair): Statement<T> {
  const [signed, signatures] = envelopeSchema.parse(decode(statement.bytes, kind.maxBytes))
  const others = signatures
    .map(([signer, signature]) => [Buffer.from(signer).toString('hex') as PublicKey, signature] as const)
    .filter(([signer]) => signer !== key.publicKey)
  return seal(kind, signed, statement, [...others, [key.publicKey, key.sign(signed)]])
}

function seal<T>(
  kind: StatementKind<T>,
  signed: Uint8Array,
  head: { fleet: FleetId | ''; clock: Millis; body: T },
  signatures: readonly (readonly [PublicKey, Uint8Array])[],
): Statement<T> {
  const bytes = encode([
    signed,
    signatures.map(([signer, signature]) => [Uint8Array.from(Buffer.from(signer, 'hex')), signature]),
  ])
  if (bytes.byteLength > kind.maxBytes)
    throw new FleetError('too-large', `${kind.domain}: ${bytes.byteLength} bytes is over the limit of ${kind.maxBytes}`)
  return {
    bytes,
    id: sha256(signed),
    domain: kind.domain,
    fleet: head.fleet,
    clock: head.clock,
    signers: signatures.map(([signer]) => signer),
    body: head.body,
  }
}

/**
 * Opens an envelope that came from anywhere: checks size, shape, domain, fleet and every signature. Whether
 * the signers had the right to say it is for `Authority` to decide. Throws `too-large`, `corrupt` or `unauthorized`.
 */
export function open<T>(kind: StatementKind<T>, fleet: FleetId | '', bytes: Uint8Array): Statement<T> {
  // The body's byte strings are views: of a copy that is ours, whatever becomes of the caller's buffer.
  const own = bytes.byteLength > kind.maxBytes ? bytes : Uint8Array.from(bytes)
  const envelope = check(envelopeSchema, decode(own, kind.maxBytes))
  if (!envelope.success) throw new FleetError('corrupt', `${kind.domain}: not a signed envelope`)
  const [signed, signatures] = envelope.data
  const head = check(headSchema, decode(signed, kind.maxBytes))
  if (!head.success) throw new FleetError('corrupt', `${kind.domain}: the signed part is malformed`)
  const [domain, statedFleet, clock, rawBody] = head.data
  if (domain !== kind.domain)
    throw new FleetError('corrupt', `expected a statement of kind ${kind.domain}, got ${JSON.stringify(domain)}`)
  if (statedFleet !== fleet) throw new FleetError('unauthorized', `${kind.domain}: belongs to another fleet`)
  const body = check(kind.schema, rawBody)
  if (!body.success) throw new FleetError('corrupt', `${kind.domain}: ${objectionText(body.objection)}`)
  const signers: PublicKey[] = []
  for (const [signer, signature] of signatures) {
    const key = Buffer.from(signer).toString('hex') as PublicKey
    if (signers.includes(key)) throw new FleetError('corrupt', `${kind.domain}: signed twice by one key`)
    if (!verifySignature(key, signed, signature))
      throw new FleetError('unauthorized', `${kind.domain}: a signature does not verify`)
    signers.push(key)
  }
  return {
    bytes: own,
    id: sha256(signed),
    domain,
    fleet,
    clock: clock as Millis,
    signers,
    body: body.data,
  }
}

/** The id of the statement in an envelope, of which nothing is checked. Throws `corrupt` or `too-large` on what is no envelope. */
export function idOf(bytes: Uint8Array): Digest {
  const envelope = check(envelopeSchema, decode(bytes, LIMITS.plan))
  if (!envelope.success) throw new FleetError('corrupt', 'not a signed envelope')
  return sha256(envelope.data[0])
}

/** The node that alone signed this statement. Throws `unauthorized` when several did. */
export function nodeSigner(statement: Statement<unknown>): NodeId {
  if (statement.signers.length !== 1)
    throw new FleetError(
      'unauthorized',
      `${statement.domain}: a node speaks with one signature, found ${statement.signers.length}`,
    )
  return nodeIdOf(statement.signers[0]!)
}
