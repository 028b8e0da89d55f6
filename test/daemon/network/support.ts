import pino from 'pino'
import type { Admission, NetworkEvents, Topic, Verdict } from '../../../daemon/network/index.ts'
import { type Address, generateKeyPair, type KeyPair, type NodeId, nodeIdOf } from '../../../protocol/index.ts'

export const quiet = pino({ level: process.env.TEST_LOG ?? 'silent' })

/** Bytes that no stranger may ever see, in every certificate of these tests. */
export const SECRET = 'CERTIFICATE-OF'

/** The admission of a test fleet: a certificate names fleet and node, and is taken unless the node is put out. */
export interface TestAdmission extends Admission {
  fleet: string | undefined
  readonly revoked: Set<NodeId>
}

export function admissionOf(key: KeyPair, fleet: string | undefined): TestAdmission {
  const text = (of: string, node: NodeId) => `${SECRET} ${of} ${node}`
  const admission: TestAdmission = {
    fleet,
    revoked: new Set(),
    credentials() {
      if (admission.fleet === undefined) return undefined
      return { fleet: admission.fleet, certificate: Buffer.from(text(admission.fleet, nodeIdOf(key.publicKey))) }
    },
    judge(node, certificate) {
      const good = admission.fleet !== undefined && Buffer.from(certificate).toString() === text(admission.fleet, node)
      if (!good) return { admitted: false, reason: 'its certificate is not of this fleet' }
      return admission.revoked.has(node) ? { admitted: false, reason: 'it was revoked' } : { admitted: true }
    },
  }
  return admission
}

/** Events as they came. */
export interface Recorder extends NetworkEvents {
  readonly links: string[]
  readonly frames: { peer: NodeId; text: string }[]
  readonly gossiped: { topic: Topic; text: string; from: NodeId }[]
  readonly heardFrom: Set<NodeId>
  readonly found: { peer: NodeId; addresses: readonly Address[] }[]
  /** The latest of what `moved` told. */
  addresses: readonly Address[]
  verdict: Verdict
}

export function recorder(): Recorder {
  const events: Recorder = {
    links: [],
    frames: [],
    gossiped: [],
    heardFrom: new Set(),
    found: [],
    addresses: [],
    verdict: 'accept',
    linkUp: peer => void events.links.push(`up ${peer}`),
    linkDown: (peer, cause) => void events.links.push(`${cause} ${peer}`),
    frame: (peer, frame) => void events.frames.push({ peer, text: Buffer.from(frame).toString() }),
    gossip(topic, message, from) {
      events.gossiped.push({ topic, text: Buffer.from(message).toString(), from })
      return events.verdict
    },
    heard: peer => void events.heardFrom.add(peer),
    discovered: (peer, addresses) => void events.found.push({ peer, addresses }),
    moved(addresses) {
      events.addresses = addresses
    },
  }
  return events
}

export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
export const text = (data: Uint8Array): string => Buffer.from(data).toString()
/** Ends a broken run; no good one comes near it. */
export const soon = (): AbortSignal => AbortSignal.timeout(20_000)
export { generateKeyPair }
