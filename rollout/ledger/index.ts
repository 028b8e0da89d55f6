export { type VoterContext, type VoterState, vote } from './acceptor.ts'
export { apply, genesis, successor } from './apply.ts'
export { countBits, hasBit } from './bits.ts'
export { crowdedZones } from './budget.ts'
export { createLedgerClient, type LedgerClient } from './client.ts'
export { endOf } from './history.ts'
export { invariants } from './invariants.ts'
export {
  type Ballot,
  compareBallots,
  decodeReply,
  decodeRequest,
  decodeValue,
  encodeReply,
  encodeRequest,
  encodeValue,
  type Reply,
  type Request,
} from './messages.ts'
export {
  createProposer,
  type Proposer,
  type ProposerEffect,
  type ProposerInput,
  type ProposerOutcome,
} from './proposer.ts'
export { draftRecovery, recovered } from './recovery.ts'
export { isRefusal } from './refusal.ts'
export { beginOf, countSettled, hasFailed, isOver, stagesOf } from './stages.ts'
export { stalled } from './stall.ts'
export type {
  Action,
  Down,
  LedgerValue,
  Past,
  Permit,
  PermitKind,
  Refusal,
} from './value.ts'
export { createVoter, decodeState, encodeState, type Voter, type VoterStore } from './voter.ts'
export { type Candidate, fillVoters, nextVoters } from './voters.ts'
