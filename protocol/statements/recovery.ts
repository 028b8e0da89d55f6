import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { counter, digest, label, nodeId, reason, recordOf, time } from './fields.ts'

/**
 * Epochs of a ledger in one era follow one another by the rule of its registers alone: each is closed by a majority of its voters. A new era begins by an
 * operator's word, because that majority is lost. An epoch has its era in front: the first epoch of all is 1.
 */
export const ERA = 1_000_000
export const eraOf = (epoch: number): number => Math.floor(epoch / ERA)

/** An operator's word that a majority of a group's voters is gone for good, and what its ledger goes on from. */
export const recoverySchema = z
  .object({
    group: label,
    /** The first epoch of an era. Above its beginning by chance, so that two recoveries that know nothing of each other are no two registers of one epoch: the higher one counts. */
    epoch: z.number().int().min(ERA).max(Number.MAX_SAFE_INTEGER),
    voters: z.array(nodeId).min(1).max(7),
    /** Voters of before that are gone. They are written off. */
    lost: z.array(nodeId).min(1).max(7),
    /**
     * Everybody of the group who may be out of service now, whatever the lost voters knew of it. Each begins with a permit, and gives that back when
     * it is in service and has taken note of the recovery.
     */
    members: z.array(z.object({ node: nodeId, zone: label })).max(LIMITS.recoveredMembers),
    /** Counts on from what was found. */
    version: counter,
    /** Above every generation that is known of: plans of up to this one never begin again. */
    generation: z.number().int().min(1),
    /** Far above every token that is known of. */
    nextToken: z.number().int().min(1),
    targets: recordOf(label, digest, 256),
    denied: z.array(digest).max(64),
    fenced: z.array(nodeId).max(256),
    at: time,
    reason,
  })
  .refine(({ voters }) => voters.length % 2 === 1 && new Set(voters).size === voters.length, 'voters are an odd number')
  .refine(({ voters, lost }) => voters.every(node => !lost.includes(node)), 'a voter that is lost votes no more')
  .refine(({ lost, fenced }) => lost.every(node => fenced.includes(node)), 'who is lost is written off')
  .refine(
    ({ members, fenced }) =>
      new Set(members.map(({ node }) => node)).size === members.length &&
      members.every(({ node }) => !fenced.includes(node)),
    'a member is named once, and not when it was written off',
  )
export type Recovery = z.infer<typeof recoverySchema>
export const RECOVERY: StatementKind<Recovery> = {
  domain: 'fleetd/recovery/1',
  schema: recoverySchema,
  maxBytes: LIMITS.recovery,
}
