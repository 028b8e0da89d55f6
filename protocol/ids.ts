import { base58btc } from 'multiformats/bases/base58'
import { FleetError } from './errors.ts'

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** A libp2p PeerId of an Ed25519 key in its base58btc text form (`12D3Koo...`). The identity of a node; a name is only a label. */
export type NodeId = Brand<string, 'NodeId'>
/** The digest of policy 1: names a fleet for ever. 64 lower-case hex digits. */
export type FleetId = Brand<string, 'FleetId'>
/** A SHA-256 in 64 lower-case hex digits. */
export type Digest = Brand<string, 'Digest'>
/** A raw Ed25519 public key in 64 lower-case hex digits. */
export type PublicKey = Brand<string, 'PublicKey'>
/** Milliseconds: since the Unix epoch where it is a time, otherwise a length of time. */
export type Millis = Brand<number, 'Millis'>
/** How a node is reached: a multiaddr in text form, `/ip4/192.0.2.1/tcp/7946`. Without a trailing `/p2p/ID`. */
export type Address = Brand<string, 'Address'>

export const millis = (value: number): Millis => value as Millis

const HEX_32 = /^[0-9a-f]{64}$/

// libp2p peer-id spec: an Ed25519 PeerId is the identity multihash (0x00, length 0x24) of the
// protobuf-encoded public key (field 1 = key type 1 = Ed25519, field 2 = 32 key bytes).
const ED25519_PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)

/** Throws `bad-input` unless `text` is 64 lower-case hex digits. */
export function parseDigest(text: string): Digest {
  if (!HEX_32.test(text))
    throw new FleetError(
      'bad-input',
      `not a digest: ${JSON.stringify(text.slice(0, 80))}; expected 64 lower-case hex digits`,
    )
  return text as Digest
}

/** Throws `bad-input` unless `text` is 64 lower-case hex digits. */
export function parsePublicKey(text: string): PublicKey {
  if (!HEX_32.test(text))
    throw new FleetError(
      'bad-input',
      `not a public key: ${JSON.stringify(text.slice(0, 80))}; expected 64 lower-case hex digits`,
    )
  return text as PublicKey
}

/** Throws `bad-input` unless `text` is the PeerId of an Ed25519 key. */
export function parseNodeId(text: string): NodeId {
  publicKeyOf(text as NodeId)
  return text as NodeId
}

/** The PeerId of an Ed25519 public key. */
export function nodeIdOf(key: PublicKey): NodeId {
  const bytes = new Uint8Array(ED25519_PEER_ID_PREFIX.length + 32)
  bytes.set(ED25519_PEER_ID_PREFIX)
  bytes.set(Buffer.from(key, 'hex'), ED25519_PEER_ID_PREFIX.length)
  return base58btc.encode(bytes).slice(1) as NodeId // drop the multibase prefix 'z'
}

/** The Ed25519 public key inside a PeerId. Throws `bad-input` on any other kind of PeerId. */
export function publicKeyOf(node: NodeId): PublicKey {
  const known = publicKeys.get(node)
  if (known !== undefined) return known
  let bytes: Uint8Array
  try {
    bytes = node.length > 64 ? new Uint8Array() : base58btc.decode(`z${node}`)
  } catch {
    bytes = new Uint8Array()
  }
  const prefixed = bytes.length === 38 && ED25519_PEER_ID_PREFIX.every((byte, i) => bytes[i] === byte)
  if (!prefixed)
    throw new FleetError(
      'bad-input',
      `not a node id: ${JSON.stringify(String(node).slice(0, 80))}; expected the PeerId of an Ed25519 key (12D3Koo...)`,
    )
  const key = Buffer.from(bytes.subarray(6)).toString('hex') as PublicKey
  if (publicKeys.size > 20_000) publicKeys.clear() // strangers may name any number of ids
  publicKeys.set(node, key)
  return key
}

// Base58 is slow and the same few thousand ids come by over and over.
const publicKeys = new Map<NodeId, PublicKey>()
