import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { decode, encode, FleetError, LIMITS, type NodeId } from '../../protocol/index.ts'
import { type Frames, nextFrame } from './frames.ts'

/*
 * Admission, protocol `/fleetd/admit/1`. Neither side shows anything of its fleet before the other has proved that it
 * knows the fleet's id; a proof is an HMAC keyed with that id over both peer ids, which noise has authenticated, so it is
 * worth nothing to anybody else and cannot be passed on.
 *
 *   dialer   -> [nonce, proof]
 *   listener -> [nonce, proof over both nonces]      or an abort
 *   dialer   -> [certificate, boot]
 *   listener -> [certificate, boot]                  or an abort
 *   dialer   -> an empty frame: you are admitted too or an abort
 */

export const ADMISSION_PROTOCOL = '/fleetd/admit/1'
/** Largest frame of the exchange: a certificate and its framing. */
export const ADMISSION_FRAME = LIMITS.certificate + 256

/** What we bring to the exchange. */
export interface Introduction {
  readonly self: NodeId
  readonly fleet: string
  readonly certificate: Uint8Array
  /** Differs at every start of a daemon: tells a peer that came back from one that never went. */
  readonly boot: string
}

/** What an admitted peer showed. */
export interface Shown {
  readonly certificate: Uint8Array
  readonly boot: string
}

/** Throws when a peer is not to be admitted; what it throws goes to our own log only. */
type Judge = (certificate: Uint8Array) => void

/** The dialer's part. Resolves when both sides have admitted each other. */
export async function introduceAsDialer(
  over: Frames,
  us: Introduction,
  peer: NodeId,
  judge: Judge,
  signal: AbortSignal,
): Promise<Shown> {
  const nonce = randomBytes(32)
  await over.send(encode([nonce, proof(us.fleet, ['dialer', us.self, peer, nonce])]))
  const [theirNonce, theirProof] = twoBinaries(await read(over, signal))
  assertProof(theirProof, proof(us.fleet, ['listener', us.self, peer, nonce, theirNonce]))
  await over.send(encode([us.certificate, us.boot]))
  const shown = parseShown(await read(over, signal))
  judge(shown.certificate)
  await over.send(new Uint8Array())
  return shown
}

/** The listener's part. Resolves when both sides have admitted each other. */
export async function introduceAsListener(
  over: Frames,
  us: Introduction,
  peer: NodeId,
  judge: Judge,
  signal: AbortSignal,
): Promise<Shown> {
  const [nonce, theirProof] = twoBinaries(await read(over, signal))
  assertProof(theirProof, proof(us.fleet, ['dialer', peer, us.self, nonce]))
  const ours = randomBytes(32)
  await over.send(encode([ours, proof(us.fleet, ['listener', peer, us.self, nonce, ours])]))
  const shown = parseShown(await read(over, signal))
  judge(shown.certificate)
  await over.send(encode([us.certificate, us.boot]))
  await read(over, signal)
  return shown
}

function proof(fleet: string, parts: readonly (string | Uint8Array)[]): Uint8Array {
  // The fields are encoded as msgpack so that their borders are unambiguous.
  return createHmac('sha256', fleet).update(encode(parts)).digest()
}

function assertProof(given: Uint8Array, expected: Uint8Array): void {
  if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected))
    throw new FleetError('unauthorized', 'it does not know the id of our fleet')
}

async function read(over: Frames, signal: AbortSignal): Promise<Uint8Array> {
  const frame = await nextFrame(over, signal)
  if (frame === undefined) throw new FleetError('unauthorized', 'it ended the admission exchange')
  return frame
}

function twoBinaries(frame: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const value = decode(frame, ADMISSION_FRAME)
  const [nonce, mac] = Array.isArray(value) ? (value as unknown[]) : []
  if (!(nonce instanceof Uint8Array) || !(mac instanceof Uint8Array) || nonce.byteLength !== 32)
    throw new FleetError('corrupt', 'it sent a malformed proof')
  return [nonce, mac]
}

function parseShown(frame: Uint8Array): Shown {
  const value = decode(frame, ADMISSION_FRAME)
  const [certificate, boot] = Array.isArray(value) ? (value as unknown[]) : []
  if (!(certificate instanceof Uint8Array) || typeof boot !== 'string' || boot.length > 64)
    throw new FleetError('corrupt', 'it sent a malformed certificate')
  // Copied, so that the certificate does not keep the stream's buffer alive for as long as the connection lasts.
  return { certificate: Uint8Array.from(certificate), boot }
}
