import {
  type Authority,
  type KeyPair,
  keyPairFromSeed,
  millis,
  type NodeId,
  nodeIdOf,
  type Statement,
  type StatementKind,
  sign,
} from '../../protocol/index.ts'
import { CERTIFICATE, INVITE } from '../../protocol/statements/admission.ts'
import { NOW } from '../protocol/fleet.ts'
import { FLEET } from '../rollout/ledger/fixtures.ts'

// A fleet whose keys and statements are the same in every run: what the corpus holds is signed with them.

const key = (byte: number): KeyPair => keyPairFromSeed(new Uint8Array(32).fill(byte))

export { NOW }
export const OPERATOR: KeyPair = FLEET.operator
export const AUTHORITY: Authority = FLEET.authority
export const INVITED = key(61)
export const NODE_KEY = key(60)
export const NODE: NodeId = nodeIdOf(NODE_KEY.publicKey)
export const PEER_KEY = key(62)
export const PEER: NodeId = nodeIdOf(PEER_KEY.publicKey)

export const signed = <T>(kind: StatementKind<T>, body: T, by: KeyPair): Statement<T> =>
  sign(kind, AUTHORITY.fleet, NOW, body, [by])

export const INVITE_OF_NODE = signed(INVITE, { key: INVITED.publicKey, expires: millis(NOW + 3_600_000) }, OPERATOR)
export const CERTIFICATE_OF_NODE = signed(CERTIFICATE, { node: NODE, invite: INVITE_OF_NODE.bytes }, INVITED)
