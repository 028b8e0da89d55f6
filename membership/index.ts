// Who is in the fleet and who is alive: one machine, without clock, socket or promise.
// It is given statements that have been verified, and gives back what to send, publish, dial and tell.
// It may import protocol/ and nothing else of ours, and knows nothing of images and rollouts.
export { type Atlas, createAtlas } from './atlas.ts'
export { type Bucket, createBucket } from './bucket.ts'
export { COALESCE, type CoalescePeriods, type Coalescer, createCoalescer, lastOfMember } from './coalesce.ts'
export { rttBetween } from './coordinates.ts'
export * from './events/index.ts'
export type { Knock } from './evidence.ts'
export { decodeGossip, encodeGossip, type GossipKind } from './frames.ts'
export { createMembership, type Membership } from './machine.ts'
export type { MemberView, Status } from './members.ts'
export { lan, local, PROFILES, type Profile, wan } from './profiles.ts'
export {
  answerDelay,
  createInbox,
  createOutbox,
  defaultTimeout,
  type Filters,
  type Inbox,
  type Labels,
  type Outbox,
  passes,
  type Totals,
} from './queries/index.ts'
export { suspicionTimeout } from './suspicion.ts'
export type {
  Effect as MembershipEffect,
  Heard,
  Input as MembershipInput,
  MemberEvent,
  MembershipInit,
  SelfRecord,
  SelfVitals,
} from './types.ts'
