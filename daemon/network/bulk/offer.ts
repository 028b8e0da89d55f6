import { type Address, decode, encode, FleetError, LIMITS } from '../../../protocol/index.ts'

/** Service of the network by which a node asks another for a bulk connection. */
export const BULK_SERVICE = 'bulk'
/** How long an offer can be taken, in milliseconds. */
export const OFFER_LIFETIME = 10_000

/** Bytes of what names an offer and of its secret: a key of AES-128's strength and some (RFC 8446, section 9.2 asks for no more). */
const NAME = 16
const SECRET = 32

/** What a node may connect with, once: made for it alone and told to it over an admitted connection. */
export interface Offer {
  /** The identity of the pre-shared key: hex. */
  readonly name: string
  readonly secret: Uint8Array
  /** Where the offering node can be reached. */
  readonly addresses: readonly Address[]
}

export const encodeOffer = ({ name, secret, addresses }: Offer): Uint8Array =>
  encode([Buffer.from(name, 'hex'), secret, [...addresses]])

/** Throws `corrupt` or `too-large` on what is no offer. */
export function decodeOffer(body: Uint8Array): Offer {
  const raw = decode(body, 16 * 1024)
  const [name, secret, addresses] = Array.isArray(raw) ? (raw as unknown[]) : []
  if (!isBytes(name, NAME) || !isBytes(secret, SECRET) || !isAddresses(addresses))
    throw new FleetError('corrupt', 'not an offer of a bulk connection')
  return { name: Buffer.from(name).toString('hex'), secret, addresses }
}

const isBytes = (value: unknown, length: number): value is Uint8Array =>
  value instanceof Uint8Array && value.byteLength === length

const isAddresses = (value: unknown): value is Address[] =>
  Array.isArray(value) && value.length <= LIMITS.addresses && value.every(each => typeof each === 'string')

export const SIZES = { name: NAME, secret: SECRET } as const
