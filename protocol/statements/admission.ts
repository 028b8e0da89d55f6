import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { bytes, label, nodeClass, nodeId, publicKey, reason, tags, time } from './fields.ts'

/** What an operator allows whoever holds the invite's private key: to certify nodes within these bounds until it expires. */
export const inviteSchema = z.object({
  key: publicKey,
  expires: time,
  /** Where given, the certified node must have exactly this. */
  class: nodeClass.optional(),
  group: label.optional(),
  zone: label.optional(),
  tags: tags.optional(),
})
export type Invite = z.infer<typeof inviteSchema>
export const INVITE: StatementKind<Invite> = {
  domain: 'fleetd/invite/1',
  schema: inviteSchema,
  maxBytes: LIMITS.invite,
}

/** A node's place in the fleet: signed with the invite's key, and carrying the invite so that any member can check the chain offline. */
export const certificateSchema = z.object({
  node: nodeId,
  /** The whole INVITE envelope. */
  invite: bytes(LIMITS.invite),
})
export type Certificate = z.infer<typeof certificateSchema>
export const CERTIFICATE: StatementKind<Certificate> = {
  domain: 'fleetd/certificate/1',
  schema: certificateSchema,
  maxBytes: LIMITS.certificate,
}

/** An operator puts a node out for good. Kept for ever in a set that only grows. */
export const revocationSchema = z.object({ node: nodeId, reason })
export type Revocation = z.infer<typeof revocationSchema>
export const REVOCATION: StatementKind<Revocation> = {
  domain: 'fleetd/revocation/1',
  schema: revocationSchema,
  maxBytes: LIMITS.revocation,
}
